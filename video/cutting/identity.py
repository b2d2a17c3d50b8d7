"""What tells whether closed segments are of the same source, and were made in the same way."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ...core.report import JsonValue
from ...core.types import Backend
from ...version import __version__
from ..video_plan import VideoPlan, colour_or_path, matte_format

# Options of a backend that say how, and not what is made.
_NO_MATTER = frozenset({"resubmit", "download", "profile", "client", "account"})
_SAMPLE = 1 << 20


def identity_of(plan: VideoPlan, backend: Backend) -> dict[str, JsonValue]:
    """Return what tells whether closed segments are of the same source and settings."""
    matte = matte_format(plan.options)
    options, given = plan.options, getattr(backend, "options", None) or {}
    settings: dict[str, JsonValue] = {
        **options.data(),
        "refine": options.refine,
        "solid": options.solid,
        "decontaminate": options.decontaminate,
        "background": _background(options.background),
        "matte": None if matte is None else matte.id,
        "format": plan.format.id,
        "part": [plan.first, plan.stop],
        "segment": plan.segment,
        "backend": backend.spec.id,
        "model": backend.spec.model,
        "weights": backend.spec.weights_sha256,
        "options": {name: value for name, value in given.items() if name not in _NO_MATTER},
        "software": __version__,
    }
    said = json.dumps(settings, sort_keys=True)
    return {
        "source": _file(plan.source),
        "settings": hashlib.sha256(said.encode()).hexdigest(),
    }


def _background(background: str | None) -> JsonValue:
    if background is None:
        return None
    found = colour_or_path(background)
    return _file(found) if isinstance(found, Path) else [*found]


def _file(path: Path) -> dict[str, JsonValue]:
    """Return what tells whether a video is the same as in an earlier run. Not all of its bytes are
    read: there may be hundreds of gigabytes. Raises OSError."""
    said = path.stat()
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, said.st_size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return {"bytes": said.st_size, "modified": said.st_mtime_ns, "sample": digest.hexdigest()}
