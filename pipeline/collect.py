"""What becomes of a batch in which pictures fail, for callers that return all of it at once."""

from __future__ import annotations

from collections.abc import Sequence

from .inputs import Failed


def raise_failures(failed: Sequence[Failed], total: int) -> None:
    """Raise one PictureError that names every failed picture; nothing when none failed."""
    if not failed:
        return
    first = failed[0].failure.error
    if total == 1:
        raise first
    reasons = " ".join(
        f"{item.name}: {_without_name(str(item.failure.error), item.name)}"
        for item in sorted(failed, key=lambda item: item.index)
    )
    raise type(first)(f"{len(failed)} of {total} pictures failed. {reasons}") from first


def _without_name(message: str, name: str) -> str:
    return message.removeprefix(f"{name}: ").removeprefix(f"{name} ")
