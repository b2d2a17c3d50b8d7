"""Any readable weights to a safetensors file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ...config.private_files import whole
from ...core.errors import BadOption, WeightsUnusable
from .detect import without_prefixes
from .files import read_state_dict


def convert(source: Path, target: Path, *, half: bool = False) -> int:
    """Write the tensors of `source` to `target` as safetensors; returns how many.

    Names stay, but for the prefixes of wrappers ("module.", "_orig_mod."). half: floating-point
    tensors become float16, indices and counters stay integers. The target appears whole or not at
    all, and nothing is overwritten. Raises WeightsUnusable for a source that cannot be read or has
    values beyond float16, BadOption for a target that cannot be written.
    """
    check_target(target, ".safetensors")
    tensors = without_prefixes(read_state_dict(source))
    written = {name: _halved(value, name) if half else value for name, value in tensors.items()}
    with new_file(target) as part:
        save_file(_apart(written), part, metadata={"format": "pt"})
    return len(written)


def check_target(target: Path, suffix: str) -> None:
    """Raise BadOption unless a file of this suffix may be written as `target`."""
    if target.suffix != suffix:
        raise BadOption(f"{target} must end in {suffix}, the format that is written.")
    if target.exists():
        raise BadOption(f"{target} is there already; choose another name.")


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Lend a path to write to, which becomes `target` whole or not at all. Raises BadOption where
    that cannot be."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as part:
            yield part
    except (OSError, SafetensorError) as error:
        raise BadOption(
            f"{target} cannot be written ({error}). Choose another place or free some disk space."
        ) from error


def _halved(value: Tensor, name: str) -> Tensor:
    if not value.is_floating_point():
        return value
    narrow = value.to(torch.float16)
    if not torch.equal(narrow.isfinite(), value.isfinite()):
        raise WeightsUnusable(
            f"{name} has values beyond the range of float16. Convert without --fp16."
        )
    return narrow


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put each tensor alone in its memory and in order, as the format wants it."""
    taken: set[int] = set()
    apart = {}
    for name, value in tensors.items():
        storage = value.untyped_storage()
        alone = storage.nbytes() == value.nbytes and storage.data_ptr() not in taken
        taken.add(storage.data_ptr())
        own = value if alone else value.clone()
        apart[name] = own.contiguous()
    return apart
