"""What a result's file takes over from its source."""

from __future__ import annotations

from dataclasses import dataclass

from .fields import NO_FIELDS, Fields
from .formats import Depth


@dataclass(frozen=True)
class Origin:
    """See `pictures.read.Picture`, whose parts these are."""

    depth: Depth = 8
    icc_profile: bytes | None = None
    source_type: str = ""
    fields: Fields = NO_FIELDS
