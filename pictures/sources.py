"""What a user names on the command line, as the pictures that are read."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import BadOption, BadPicture
from .find_pictures import EVERYTHING, Tree, file_key, natural, resolve
from .results import made_here
from .unread import Unreads, name_unread, why_unread
from .web import Address, Fetch, address

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One picture to read, or the reason why an argument names none."""

    name: str
    """What messages call it."""
    path: Path | None = None
    """None for standard input, for an address, and where there is a reason."""
    reason: str | None = None
    found: bool = False
    """In a folder, or by a pattern."""
    passed_over: str = ""
    """How it says that it is a result of this package; empty where it is to be used."""
    unread: str = ""
    """Why a picture that was found is not read, see `why_unread`; it has a reason, and no path."""
    address: Address | None = None
    """Where it is fetched from."""

    def content(self, fetch: Fetch | None = None) -> Path | bytes:
        """Return what `read_picture` takes: the path, or the bytes of standard input or an address.

        Raises BadPicture with the reason where there is one, and what `fetch` does.
        """
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
    """Return the sources that files, folders, patterns and "-" (standard input) name, in order.

    A folder gives the pictures in it, not those in its folders unless `recursive`, hidden files
    apart, sorted as people count (2 before 10). A pattern does the same, because the Windows shells
    leave it to the program. A file named twice comes once. What is missing is a Source with a
    reason, so that the other pictures go on; so is a picture of a kind that is not read, and a
    folder or pattern with nothing else.
    results: whether results of this package are taken; without, those that no argument names as a
    file are passed over. fetch: whether addresses are; None where the user has no way to ask.
    """
    seen: set[str] = set()
    sources: list[Source] = []
    named = {file_key(Path(one)) for one in arguments if _is_file(one)}
    for argument in arguments:
        for source in _expand_one(argument, recursive, fetch):
            key = source.name if source.path is None else file_key(source.path)
            if source.unread:
                key = file_key(Path(source.name))
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
    """Return whether folders and patterns were named, and no picture is there to be read."""
    return all(source.reason for source in sources) and any(source.found for source in sources)


def _expand_one(argument: str, recursive: bool, fetch: bool | None) -> list[Source]:
    if argument == STDIN:
        return [Source("standard input")]
    try:
        named = resolve(argument, fetch)
        if isinstance(named, Tree):
            return _pictures(named, argument, recursive)
    except BadOption as error:
        return [Source(address(argument) or argument, reason=str(error))]
    if isinstance(named, Address):
        return [Source(named.name, address=named)]
    return [Source(argument, named, None if named else f"{argument} does not exist.")]


def _pictures(tree: Tree, argument: str, recursive: bool) -> list[Source]:
    verb = "holds" if tree.is_folder else "matches"
    if tree.is_folder:
        tree = Tree(tree.base, EVERYTHING if recursive else ("*",), plain=True)
    found = tree.pictures() if tree.base.is_dir() else ()
    paths = [picture.path for picture in found if picture.path.is_file()]
    sources = [_found(path) for path in sorted(paths, key=lambda path: natural(str(path)))]
    if any(not source.unread for source in sources):
        return sources
    what = f"{argument} {verb} no picture files"
    if sources:
        unread = Unreads((source.name, source.unread) for source in sources)
        what = f"{what} that are read, only {name_unread(unread.kinds())}"
    return [Source(argument, reason=f"{what}.", found=True)]


def _found(path: Path) -> Source:
    name = str(path)
    why = why_unread(path)
    if not why:
        return Source(name, path, found=True)
    return Source(name, reason=f"{name} is not read ({why}).", found=True, unread=why)


def _is_file(argument: str) -> bool:
    try:
        return argument != STDIN and Path(argument).is_file()
    except (OSError, ValueError):  # expanding it will say why
        return False
