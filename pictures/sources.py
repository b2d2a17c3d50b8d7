"""What a user names on the command line, to the files that are read and written."""

from __future__ import annotations

import errno
import glob
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import BadOption, BadPicture
from .formats import LABELS, by_suffix, is_readable, unread
from .names import portable
from .patterns import address, is_pattern, split_pattern
from .results import CUTOUT, IN_FILE, made_here
from .unread import Unreads, is_picture, name_unread, why_unread
from .web import Address, Fetch, not_fetched

STDIN = "-"
_RUN = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Source:
    """One picture to read, or the reason why an argument names none.

    name: what messages call it. path: None for standard input and where there is a reason.
    found: in a folder, or by a pattern. passed_over: how it says that it is a result of this
    package; empty where it is to be used. unread: why a picture that was found is not read, see
    `why_unread`; it has no path then, but a reason. address: where it is fetched from; no path.
    """

    name: str
    path: Path | None = None
    reason: str | None = None
    found: bool = False
    passed_over: str = ""
    unread: str = ""
    address: Address | None = None

    def content(self, fetch: Fetch | None = None) -> Path | bytes:
        """What `read_picture` takes: the path, or the bytes of standard input or of the address,
        read here. Raises BadPicture with the reason where there is one, and what `fetch` does."""
        if self.reason is not None:
            nothing = None if self.path else FileNotFoundError(errno.ENOENT, self.reason)
            raise BadPicture(self.reason) from nothing
        if self.address is not None and fetch is not None:
            return fetch(self.address.name, self.address.url)
        return sys.stdin.buffer.read() if self.path is None else self.path


def expand(
    arguments: Sequence[str],
    *,
    recursive: bool = False,
    results: bool = True,
    fetch: bool | None = None,
) -> list[Source]:
    """Files, folders, patterns and "-" (standard input) to sources, in the order given.

    A folder gives the pictures in it, not those in its folders unless `recursive`, hidden files
    apart, sorted as people count (2 before 10). A pattern does the same, because the Windows shells
    leave it to the program. A file named twice comes once. What is missing is a Source with a
    reason, so that the other pictures go on; so is a picture of a kind that is not read, and a
    folder or pattern with nothing else.
    results: whether results of this package are taken; without, those that no argument names as a
    file are passed over. fetch: whether addresses are; None where nobody can ask for it.
    """
    seen: set[str] = set()
    sources: list[Source] = []
    named = {_key(Path(one)) for one in arguments if _is_file(one)}
    for argument in arguments:
        for source in _expand_one(argument, recursive, fetch):
            key = source.name if source.path is None else _key(source.path)
            if source.unread:
                key = _key(Path(source.name))
                if key in named:
                    continue
            if source.unread or source.reason is None:
                if key in seen:
                    continue
                seen.add(key)
            if not results and source.found and source.path is not None and key not in named:
                source = replace(source, passed_over=made_here(source.path))
            sources.append(source)
    return sources


def none_found(sources: Sequence[Source]) -> bool:
    """Whether folders and patterns were named, and no picture is there to be read."""
    return all(source.reason for source in sources) and any(source.found for source in sources)


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
    """Where the result of every source goes; None for a source with a reason.

    out: None puts `shoe.png` beside `shoe.jpg`, or `shoe-cutout.png` where some file has that name;
    of a picture that was found, the result of an earlier run is replaced.
    A name with a picture's suffix is the file for the one source. Anything else is a folder, which
    gets `shoe.png`; with the mark "-mask" it gets `shoe-mask.png`. silent: the files will not say
    what they are, so their names do (`shoe-cutout.png`) where the next run may find them: beside a
    source, and in the folders `beside`.
    No result takes the name of any source, of another result, or of a path to avoid: a.jpg and
    a.webp give a.png and a-2.png. See `Taken` for how they are compared. A name that Windows
    reserves gets a `_` before it. Raises BadOption when `out` cannot be meant.
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


def natural(name: str) -> tuple[str, str]:
    """Sorts names as people count: runs of digits as numbers, the rest without case; the exact name
    decides a tie. Two short texts, because a folder may hold a million names."""
    return _RUN.sub(_by_value, name).casefold(), name


def _by_value(run: re.Match[str]) -> str:
    """More digits are a larger number; a zero byte comes before all that is no digit."""
    digits = run[0].lstrip("0")
    return f"\0{chr(len(digits))}{digits}"


def _expand_one(argument: str, recursive: bool, fetch: bool | None) -> list[Source]:
    if argument == STDIN:
        return [Source("standard input")]
    if shown := address(argument):
        if why := not_fetched(argument, fetch):
            return [_missing(shown, why)]
        found_at = Address.of(argument)
        return [Source(found_at.name, address=found_at)]
    path = Path(argument)
    try:
        if path.is_dir():
            found = path.rglob("*") if recursive else path.iterdir()
            return _pictures(found, argument, "holds")
        if path.exists():
            return [Source(argument, path)]
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        return [_missing(argument, f"cannot be looked into ({reason})")]
    if not is_pattern(argument):
        return [_missing(argument, "does not exist")]
    base, names = split_pattern(argument)
    matched = glob.iglob(os.path.join(*names), root_dir=base, recursive=True)
    matches = (base / match for match in matched)
    return _pictures(matches, argument, "matches")


def _pictures(found: Iterator[Path], argument: str, verb: str) -> list[Source]:
    chosen = [
        path
        for path in found
        if is_picture(path) and not path.name.startswith(".") and path.is_file()
    ]
    chosen.sort(key=lambda path: natural(str(path)))
    sources = [_found(path) for path in chosen]
    if any(not source.unread for source in sources):
        return sources
    if not sources:
        return [replace(_missing(argument, f"{verb} no picture files"), found=True)]
    unread = Unreads((source.name, source.unread) for source in sources)
    what = f"{verb} no picture files that are read, only {name_unread(unread.kinds())}"
    return [replace(_missing(argument, what), found=True)]


def _found(path: Path) -> Source:
    name = str(path)
    why = why_unread(path)
    if not why:
        return Source(name, path, found=True)
    return Source(name, reason=f"{name} is not read ({why}).", found=True, unread=why)


def _missing(argument: str, what: str) -> Source:
    return Source(argument, reason=f"{argument} {what}.")


class Taken:
    """Files that no result may replace. Names are compared as the strictest file system does (links
    followed, case and Unicode form ignored), and files that exist by device and inode: a hard link
    is the same file, and so is one in a folder that is mounted twice."""

    def __init__(self, paths: Iterable[Path]) -> None:
        paths = list(paths)
        self._keys = {_key(path) for path in paths}
        self._files = {identity(path) for path in paths} - {None}

    def __contains__(self, path: Path) -> bool:
        return _key(path) in self._keys or identity(path) in self._files

    def add(self, path: Path) -> None:
        """It is going to be written."""
        self._keys.add(_key(path))


def identity(path: Path) -> tuple[int, int] | None:
    """(device, inode) of a file, links followed; None where there is none, or the disk has no such
    numbers."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


def _key(path: Path) -> str:
    """One string for all the names that some file system takes for the same file."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


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


def _is_file(argument: str) -> bool:
    try:
        return argument != STDIN and Path(argument).is_file()
    except (OSError, ValueError):  # expanding it will say why
        return False


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
    """The wanted name, or the first of name-2, name-3 and so on that is not taken; then it is."""
    first = _key(wanted)
    path = wanted
    while path in taken:
        number = next_number.get(first, 2)
        next_number[first] = number + 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    taken.add(path)
    return path
