"""Which picture files are results of this package, and so no pictures to be cut out.

A result says so itself: by what stands in the file, or by its name. Whoever wants one cut out again
names the file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..version import __version__
from .fields import NO_FIELDS, Fields
from .formats import by_suffix
from .metadata import Metadata, metadata_of
from .provenance import Provenance, read_provenance
from .still import DECODER_ERRORS
from .xmp import read_xmp, write_xmp

CUTOUT, MASK = "-cutout", "-mask"
#: The folder of a batch under its DEST, and the file in it that no other folder has.
OWN_FOLDER, STATE_FILE = ".rmbg", "state.sqlite"
IN_FILE, BY_NAME, BY_FOLDER = "the file says so", "its name says so", "it lies in a batch's folder"

_NAMED = re.compile(rf".+({CUTOUT}|{MASK})(-[0-9]+)?", re.DOTALL)
_SOFTWARE = "rmbg-nodes"
# As far into a file, from either end, as the formats keep what it says of itself.
_REACH = 1 << 17
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B")


def made_here(path: Path) -> str:
    """Return how a picture file says that it is a result; empty where it does not.

    One of the three texts above. Of a file that does not speak of this package at most 256 KiB are
    read. A name counts where the format is written here: `shoe-cutout.png`, `shoe-cutout-2.webp`,
    and `shoe-mask.png` where it has no colours: a photograph of a mask has some.
    """
    if _says_so(path):
        return IN_FILE
    if _is_named_so(path):
        return BY_NAME
    return BY_FOLDER if _in_batch(path.parent.absolute()) else ""


def is_mask(path: Path, said: Provenance | None) -> bool:
    """Return whether a picture file says that it is a mask of ours.

    By its name, `shoe-mask.png`, or as a grey one with provenance and no source type; grey alone
    says nothing. said: its provenance.
    """
    named = _NAMED.fullmatch(path.stem)
    if named is not None and named[1] == MASK:
        return True
    return said is not None and not said.source_type and _is_grey(path)


def is_signed_only(path: Path) -> bool:
    """Return whether a file says it was made here and not from which picture: a contact sheet."""
    return _says_so(path) and read_provenance(metadata_of(path.read_bytes())) is None


def signature(fields: Fields = NO_FIELDS) -> Metadata:
    """Return what a file made here says at least: its maker, and its source's fields."""
    maker = f"{_SOFTWARE} {__version__}"
    packet = write_xmp({"xmp:CreatorTool": maker, **fields.properties()})
    return Metadata(packet, {"Software": maker}, fields=fields)


def _says_so(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            ends = file.read(_REACH)
            rest = os.fstat(file.fileno()).st_size - len(ends)
            if rest > 0:
                file.seek(-min(rest, _REACH), os.SEEK_END)
                ends += file.read()
        if _SOFTWARE.encode() not in ends:
            return False
        metadata = metadata_of(path.read_bytes())
    except (OSError, ValueError):  # its reading will say why
        return False
    maker = read_xmp(metadata.xmp).get("xmp:CreatorTool", "")
    return maker.startswith(f"{_SOFTWARE} ") or read_provenance(metadata) is not None


def _is_named_so(path: Path) -> bool:
    named = _NAMED.fullmatch(path.stem)
    row = by_suffix(path)
    if not named or row is None:
        return False
    # WebP has no grey, so that nothing can be told from it.
    return named[1] == CUTOUT or row.id == "webp" or _is_grey(path)


def _is_grey(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.mode in _GREY
    except (UnidentifiedImageError, *DECODER_ERRORS):
        return False


def _in_batch(folder: Path) -> bool:
    return any(_has_batch(above) for above in (folder, *folder.parents))


def _has_batch(folder: Path) -> bool:
    try:
        return (folder / OWN_FOLDER / STATE_FILE).is_file()
    except PermissionError:  # another user's
        return True
