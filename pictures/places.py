"""Where results go: names that every system can hold, and places that can be written.

Whether a place can be written is found out before anything is made or paid for it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..config.private_files import PARTS, part_in
from ..core.errors import BadOption
from .find_pictures import file_key, identity
from .formats import LABELS, by_suffix, is_readable, unread
from .results import CUTOUT, IN_FILE, made_here
from .sources import Source

# Devices of Windows, which it finds whatever follows a dot or colon, and behind blanks at the end.
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *([.:].*)?", re.IGNORECASE | re.DOTALL
)
_END = re.compile(r"[. ]+\Z")
# Of one name, where the file system does not say.
_LONGEST_NAME = 255
# A disk without room for this much has none.
_BLOCK = bytes(4096)


def portable(name: str) -> str:
    """Return the name of one file or folder without what Windows reserves or leaves out.

    `con.png`, `aux` and `COM¹ .txt` get a `_` before them; each blank and dot at the end becomes
    one. Every other name stays as it is.
    """
    kept = _END.sub(lambda match: "_" * len(match[0]), name)
    return f"_{kept}" if _DEVICES.fullmatch(kept) or _DEVICES.fullmatch(name) else kept


def output_paths(
    sources: Sequence[Source],
    out: str | None,
    suffix: str = ".png",
    *,
    mark: str = "",
    avoid: Iterable[Path] = (),
    silent: bool = False,
    beside: Iterable[Path] = (),
) -> list[Path | None]:
    """Return where the result of every source goes; None for a source with a reason.

    out: None puts `shoe.png` beside `shoe.jpg`, or `shoe-cutout.png` where some file has that name;
    of a picture that was found, the result of an earlier run is replaced. A name with a picture's
    suffix is the file for the one source. Anything else is a folder, which gets `shoe.png`; with
    the mark "-mask" it gets `shoe-mask.png`. silent: the files will not say what they are, so their
    names do (`shoe-cutout.png`) where the next run may find them: beside a source, and in the
    folders `beside`. No result takes the name of any source, of another result, or of a path to
    avoid: a.jpg and a.webp give a.png and a-2.png. See `Taken` for how they are compared. A name
    that Windows reserves gets a `_` before it. Raises BadOption when `out` cannot be meant.
    """
    if out is not None and _means_file(out):
        return [_single_file(sources, Path(out), Taken(avoid))]
    taken = Taken([*avoid, *(source.path for source in sources if source.path is not None)])
    next_number: dict[str, int] = {}
    if silent and not mark and (out is None or _lies_in(Path(out), [*beside, *_folders(sources)])):
        mark = CUTOUT
    return [
        None
        if source.reason
        else _free(_wanted(source, out, mark, suffix, taken), taken, next_number)
        for source in sources
    ]


class Taken:
    """Files that no result may replace.

    Names are compared as the strictest file system does (links followed, case and Unicode form
    ignored), and files that exist by device and inode: a hard link is the same file, and so is one
    in a folder that is mounted twice.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        paths = list(paths)
        self._keys = {file_key(path) for path in paths}
        self._files = {identity(path) for path in paths} - {None}

    def __contains__(self, path: Path) -> bool:
        return file_key(path) in self._keys or identity(path) in self._files

    def add(self, path: Path) -> None:
        """Add a file that is going to be written."""
        self._keys.add(file_key(path))


class Places:
    """Tells whether files can be written; looks at each folder once. Any thread may ask.

    trying: files are made in the folders for a moment, because rights, quotas and network disks are
    only known by that; without, nothing is touched.
    """

    def __init__(self, *, trying: bool = True) -> None:
        self._trying = trying
        self._folders: dict[Path, str] = {}

    def trouble(self, path: Path) -> str:
        """Return why no file can be written there, with what to do; empty where one can."""
        try:
            above = _existing(path.parent)
            reason = self._folder(above) or _too_long(path, above) or _taken(path)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            reason = getattr(error, "strerror", None) or str(error)
        return f"{path} cannot be written ({reason}); choose another place." if reason else ""

    def _folder(self, folder: Path) -> str:
        if folder not in self._folders:
            self._folders[folder] = _tried(folder) if self._trying else _asked(folder)
        return self._folders[folder]


def _means_file(out: str) -> bool:
    is_folder = out.endswith(("/", os.sep)) or Path(out).is_dir()
    path = Path(out)
    if is_folder or by_suffix(path) is not None:
        return not is_folder
    # Taken for a folder's name, it would surprise.
    if is_readable(path) or unread(path) or path.suffix.lower() == ".pdf":
        raise BadOption(f"{out} is not a format that is written; name a {LABELS} file.")
    return False


def _single_file(sources: Sequence[Source], out: Path, avoided: Taken) -> Path | None:
    if len(sources) != 1:
        raise BadOption(f"{out} is one file, but there are {len(sources)} pictures; name a folder.")
    (source,) = sources
    if source.reason is not None:
        return None
    if source.path is not None and out in Taken([source.path]):
        raise BadOption(f"{out} is the picture that is read; choose another name for the result.")
    if out in avoided:
        raise BadOption(f"{out} is named twice; a mask and a result need a name each.")
    return out


def _folders(sources: Sequence[Source]) -> list[Path]:
    return [source.path.parent for source in sources if source.path is not None]


def _lies_in(folder: Path, others: Sequence[Path]) -> bool:
    real = Path(os.path.realpath(folder))
    return bool({real, *real.parents} & {Path(os.path.realpath(one)) for one in others})


def _wanted(source: Source, out: str | None, mark: str, suffix: str, taken: Taken) -> Path:
    if source.path is not None:
        stem, beside = source.path.stem, source.path.parent
    elif out is not None:
        stem, beside = source.address.path.stem if source.address else "stdin", Path(out)
    else:
        raise BadOption(f"A picture from {source.name} has no folder; name the file to write.")
    name = portable(f"{stem}{mark}{suffix}")
    if out is not None:
        return Path(out) / name
    plain = beside / name
    if mark or not plain.exists():
        return plain
    earlier = source.found and plain not in taken and made_here(plain) == IN_FILE
    return plain if earlier else beside / f"{stem}{CUTOUT}{suffix}"


def _free(wanted: Path, taken: Taken, next_number: dict[str, int]) -> Path:
    """Return the wanted name, or the first of name-2, name-3 and so on that is not taken."""
    first = file_key(wanted)
    path = wanted
    while path in taken:
        number = next_number.get(first, 2)
        next_number[first] = number + 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    taken.add(path)
    return path


def _existing(folder: Path) -> Path:
    """Return the folder, or the first above it that is there."""
    for above in (folder, *folder.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            os.stat(above)
            return above
    return folder


def _tried(folder: Path) -> str:
    part = part_in(folder)
    try:
        try:
            part.write_bytes(_BLOCK)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""


def _asked(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is a file, no folder"
    may = os.access(folder, os.W_OK | os.X_OK)
    return "" if may else f"{folder}: no right to write into it"


def _too_long(path: Path, above: Path) -> str:
    names = [os.fsencode(name) for name in path.parts[len(above.parts) :]]
    longest = _limit(above, "PC_NAME_MAX", _LONGEST_NAME)
    if long := next((name for name in names if len(name) > longest), None):
        return f"its name has {len(long)} bytes, and this disk allows {longest}"
    # While it is written, the file has another name.
    written = max(len(os.fsencode(path.name)), len(PARTS) + 15)
    whole = len(os.fsencode(path.parent)) + 1 + written
    most = _limit(above, "PC_PATH_MAX", whole + 1)
    return "" if whole < most else f"its path has {whole} bytes, and this system allows {most - 1}"


def _limit(folder: Path, name: str, usual: int) -> int:
    if not hasattr(os, "pathconf"):
        return usual
    try:
        known = os.pathconf(folder, name)
    except OSError:
        return usual
    return known if known > 0 else usual


def _taken(path: Path) -> str:
    """Return why the name is taken: by a folder. A link is replaced, whatever it leads to."""
    try:
        kind = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return "a folder has this name" if stat.S_ISDIR(kind) else ""
