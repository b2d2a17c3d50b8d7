"""The pictures of a batch, found one by one: memory does not grow with their number."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import overload

from torch import Tensor

from ...core.errors import BadOption
from ...pictures.find_pictures import Tree, resolve, within
from ...pictures.formats import READ_LABELS
from ...pictures.unread import Unreads, say_unread, why_unread
from ...pictures.web import Address, Web, address, located
from ...pipeline.inputs import Input, Loaded
from ..recipe.naming import Naming, mask_of
from .manifest import Manifest, Row, is_manifest


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a batch."""

    key: str
    """What messages call it and the state knows it by, unique in a batch: its path under the source
    folder, as the manifest names it, or as it was given; "/" between folders."""
    source: Path
    """The file; of an address, which is fetched by its key, the key."""
    target: str
    """The result's path under DEST, "/" between folders."""
    mask: str | None
    """The mask's path under DEST."""
    named: bool = False
    """Whether it is named as a file, and so cut out even where it is a result of this package."""
    trouble: str = ""
    """Why its result must not be written; may be empty."""


class Inputs(Sequence[Input]):
    """The inputs of a run, made as they are asked for."""

    def __init__(self, items: Sequence[Item], load: Callable[[int, Item], Tensor | Loaded]) -> None:
        self._items = items
        self._load = load
        """Makes the pixels of an item; it is told the item's number, too."""

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Input: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Input]: ...
    def __getitem__(self, index: int | slice) -> Input | Sequence[Input]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._input(index, self._items[index])

    def __iter__(self) -> Iterator[Input]:
        return (self._input(index, item) for index, item in enumerate(self._items))

    def _input(self, index: int, item: Item) -> Input:
        return Input(index, item.key, partial(self._load, index, item))


def find_items(
    sources: Sequence[str],
    dest: Path,
    naming: Naming,
    *,
    mask: bool,
    encoding: str | None = None,
    web: Web | None = None,
) -> Iterator[Item]:
    """Yield the pictures of folders, patterns, files and addresses, or of one manifest.

    A folder or pattern gives what `Tree` finds, but for DEST, sorted as people count (2 before 10),
    the pictures of a folder before its folders. A file is taken whatever its name, and also where
    it is a result of this package. With several sources, keys and targets begin with the name of
    their folder; a picture that two sources name comes once. Pictures of kinds that are not read
    come, too, for `State.survey` to count.

    What cannot be looked into, or is not there though the manifest names it, is an Item that cannot
    be read. A row that leaves a column empty which the naming pattern asks for is an Item with
    that trouble. Targets are the wished ones: `State.survey` tells those apart that are the same.
    encoding: see `Manifest`. web: learns the addresses; without it they are refused.

    Raises BadOption for a source in DEST, where the next run would take results for pictures, for
    one that does not exist, for a pattern that matches nothing, where no picture is of a kind that
    is read, for a manifest without rows or beside other sources, and for a field that the naming
    pattern cannot have; for a damaged row of a manifest when its turn comes.
    """
    if not sources:
        raise BadOption("No pictures are named; name a folder, a file or a manifest.")
    files = [source for source in sources if not address(source)]
    lists = [source for source in files if is_manifest(Path(source)) and Path(source).is_file()]
    if lists:
        if len(sources) > 1:
            raise BadOption(f"{lists[0]} lists pictures; name it alone, without other sources.")
        manifest = Manifest(Path(lists[0]), encoding)
        naming.check(manifest.columns)
        if next(manifest.rows(), None) is None:
            raise BadOption(f"{manifest.file} lists no pictures; add a row for each.")
        return _listed(manifest, dest, naming, mask, web)
    naming.check(())
    return _Found(sources, dest, naming, mask, web).items()


class _Found:
    """The sources, looked at before anything is done."""

    def __init__(
        self, sources: Sequence[str], dest: Path, naming: Naming, mask: bool, web: Web | None
    ) -> None:
        self._dest, self._naming, self._mask, self._web = dest, naming, mask, web
        self._files: dict[str, Path] = {}  # by the real path
        self._order: list[Tree | Path | Address] = []
        for source in dict.fromkeys(sources):
            self._take(source)
        self._trees = [entry for entry in self._order if isinstance(entry, Tree)]
        bases = dict.fromkeys(tree.real for tree in self._trees)
        several = len(bases) + len(self._files) > 1
        self._prefixes = _names([*bases]) if several else dict.fromkeys(bases, "")
        only_trees = len(self._trees) == len(self._order)
        if only_trees and not any(map(self._holds_some, self._trees)):
            raise BadOption(self._nothing())

    def items(self) -> Iterator[Item]:
        """Yield each picture once, by the first source that names it."""
        for number, entry in enumerate(self._order):
            if isinstance(entry, Address):
                yield self._item(Path(entry.path), entry.name, "", True, Path(entry.name))
            elif isinstance(entry, Path):
                if not _come_from(self._trees, _real_folder(entry), entry.name):
                    yield self._item(entry, entry.as_posix(), "", True)
            else:
                earlier = [tree for tree in self._order[:number] if isinstance(tree, Tree)]
                yield from self._items_of(entry, earlier)

    def _items_of(self, tree: Tree, earlier: Sequence[Tree]) -> Iterator[Item]:
        for picture in tree.pictures(self._dest):
            name = picture.path.name
            if not _come_from(earlier, picture.real_folder, name):
                folder = "/".join(filter(None, (self._prefixes[tree.real], picture.folder)))
                named = os.path.join(picture.real_folder, name) in self._files
                key = f"{folder}/{name}" if folder else name
                yield self._item(picture.path, key, folder, named)

    def _item(
        self, path: Path, key: str, folder: str, named: bool, source: Path | None = None
    ) -> Item:
        target = self._naming.target(folder, path.stem, {})
        return Item(key, source or path, target, mask_of(target) if self._mask else None, named)

    def _take(self, source: str) -> None:
        found = resolve(source, self._web is not None)
        if found is None:
            raise BadOption(f"{source} does not exist; name a folder, a file or a manifest.")
        if isinstance(found, Address):
            if self._web is not None:
                self._web.add(found)
        elif isinstance(found, Tree):
            self._refuse_in_dest(found.base, source)
            if not found.is_folder and next(found.pictures(self._dest), None) is None:
                raise BadOption(f"{source} matches no picture; pictures are {READ_LABELS} files.")
        else:
            self._refuse_in_dest(found.parent, source)
            real = os.path.join(_real_folder(found), found.name)
            if real in self._files:
                return
            self._files[real] = found
        self._order.append(found)

    def _holds_some(self, tree: Tree) -> bool:
        return any(not why_unread(picture.path) for picture in tree.pictures(self._dest))

    def _nothing(self) -> str:
        unread = Unreads((item.key, why_unread(item.source)) for item in self.items())
        said = say_unread(unread.kinds()) or f"pictures are {READ_LABELS} files."
        where = ", ".join(str(tree.base) for tree in self._trees)
        return f"There is nothing to cut out in {where}: {said}"

    def _refuse_in_dest(self, folder: Path, source: str) -> None:
        if within(folder, self._dest):
            raise BadOption(
                f"{source} lies in {self._dest}, where the results go, and the next run would take "
                "results for pictures. Name another folder for the results."
            )


def _listed(
    manifest: Manifest, dest: Path, naming: Naming, mask: bool, web: Web | None
) -> Iterator[Item]:
    @lru_cache(maxsize=1024)
    def in_dest(folder: Path) -> bool:
        return within(folder, dest)

    for row in manifest.rows():
        try:
            found = located(row.path, web is not None)
            if found and web:
                web.add(found)
            path = Path(found.path) if found else manifest.file.parent / row.path
            if not found and in_dest(path.parent):
                raise BadOption(
                    f"{row.path} lies in {dest}, where the results go; name another folder"
                )
            key = found.name if found else posixpath.normpath(Path(row.path).as_posix())
            target, trouble = _target(manifest, row, naming, path.stem, found, key)
        except BadOption as error:
            raise manifest.error(row.line, str(error)) from error
        source = Path(key) if found else path
        yield Item(key, source, target, mask_of(target) if mask else None, True, trouble)


def _target(
    manifest: Manifest, row: Row, naming: Naming, stem: str, found: Address | None, key: str
) -> tuple[str, str]:
    """Return where the result of a row goes, and why it must not be written; may be empty."""
    if row.output is not None:
        return naming.stated(row.output), ""
    names = [*found.path.parts] if found else key[len(Path(key).drive) :].split("/")
    folder = "/".join(name for name in names[:-1] if name != "..")
    missing = naming.missing(row.columns)
    columns = {**row.columns, **dict.fromkeys(missing, "_")}
    trouble = ""
    if missing:
        what = f"the column {missing[0]} is empty, and the naming pattern asks for it; fill it in"
        trouble = str(manifest.error(row.line, what))
    return naming.target(folder, stem, columns), trouble


def _names(folders: Sequence[str]) -> dict[str, str]:
    """Return a name for each folder, its own where no earlier one has it."""
    names: dict[str, str] = {}
    for folder in folders:
        own = os.path.basename(folder) or "root"
        name, number = own, 2
        while name in names.values():
            name, number = f"{own}-{number}", number + 1
        names[folder] = name
    return names


def _come_from(trees: Sequence[Tree], real_folder: str, name: str) -> bool:
    return any(tree.covers(real_folder, name) for tree in trees)


def _real_folder(path: Path) -> str:
    return os.path.realpath(path.parent)
