"""The pictures of a batch, found one by one: memory does not grow with their number."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ...core.errors import BadOption
from ...pictures.formats import READ_LABELS
from ...pictures.patterns import address, is_pattern
from ...pictures.unread import Unreads, say_unread, why_unread
from ...pictures.web import Address, Web, located
from ..recipe.naming import Naming, mask_of
from .folders import Tree, within
from .manifest import Manifest, Row, is_manifest


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a batch.

    key: what messages call it and the state knows it by, unique in a batch: its path under the
    source folder, as the manifest names it, or as it was given; "/" between folders. source: the
    file; of an address, which is fetched by its key, the key. target: the result's path under DEST,
    "/" between folders. mask: the mask's, or None.
    named: as a file, so that it is cut out even where it is a result of this package. trouble: why
    its result must not be written; may be empty.
    """

    key: str
    source: Path
    target: str
    mask: str | None
    named: bool = False
    trouble: str = ""


def find_items(
    sources: Sequence[str],
    dest: Path,
    naming: Naming,
    *,
    mask: bool,
    encoding: str | None = None,
    web: Web | None = None,
) -> Iterator[Item]:
    """The pictures of folders, patterns and files, or of one manifest.

    A folder gives the pictures in it and in its folders, sorted as people count (2 before 10), the
    pictures of a folder before its folders. A link to a folder is followed, but not back into a
    folder that it lies in. Hidden files and folders are left out, and DEST. A pattern gives what it
    matches, in the same order. A file is taken whatever its name, and also where it is a result of
    this package. With several sources, keys and
    targets begin with the name of their folder; a picture that two sources name comes once.
    Pictures of kinds that are not read come, too, for `State.survey` to count.

    What cannot be looked into, or is not there though the manifest names it, is an Item that cannot
    be read. A row that leaves a column empty which the naming pattern asks for is an Item with
    that trouble. Targets are the wished ones: `State.survey` tells those apart that are the same.
    encoding: see `Manifest`. web: learns the addresses; without it they are refused.

    Results never lie among the pictures, where the next run would take them for pictures: raises
    BadOption for a source in DEST. Also for one that does not exist, for a pattern that matches
    nothing, where no picture is of a kind that is read, for a manifest without rows or beside other
    sources, and for a field that the naming pattern cannot have; for a damaged row of a manifest
    when its turn comes.
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
        self._trees: list[Tree] = []
        self._files: dict[str, Path] = {}  # by the real path
        self._order: list[Tree | Path | Address] = []
        for source in dict.fromkeys(sources):
            self._take(source)
        bases = dict.fromkeys(tree.real for tree in self._trees)
        several = len(bases) + len(self._files) > 1
        self._prefixes = _names([*bases]) if several else dict.fromkeys(bases, "")
        fetched = any(isinstance(entry, Address) for entry in self._order)
        if not fetched and not self._files and not any(map(self._holds_some, self._trees)):
            raise BadOption(self._nothing())

    def items(self) -> Iterator[Item]:
        """Each picture once, by the first source that names it."""
        for number, entry in enumerate(self._order):
            if isinstance(entry, Address):
                item = self._item(Path(entry.path), entry.name, "")
                yield replace(item, source=Path(entry.name), named=True)
                continue
            if isinstance(entry, Path):
                if not _come_from(self._trees, _real_folder(entry), entry.name):
                    yield replace(self._item(entry, entry.as_posix(), ""), named=True)
                continue
            earlier = [tree for tree in self._order[:number] if isinstance(tree, Tree)]
            prefix = self._prefixes[entry.real]
            for picture in entry.pictures(self._dest):
                name = picture.path.name
                if not _come_from(earlier, picture.real_folder, name):
                    folder = "/".join(filter(None, (prefix, picture.folder)))
                    item = self._item(picture.path, f"{folder}/{name}" if folder else name, folder)
                    named = os.path.join(picture.real_folder, name) in self._files
                    yield replace(item, named=named)

    def _take(self, source: str) -> None:
        if (found := located(source, self._web)) is not None:
            self._order.append(found)
            return
        path = Path(source)
        try:
            exists, is_folder = path.exists(), path.is_dir()
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            reason = getattr(error, "strerror", None) or str(error)
            raise BadOption(f"{source} cannot be looked into ({reason}).") from error
        if exists and not is_folder:
            self._refuse_in_dest(path.parent, source)
            real = os.path.join(_real_folder(path), path.name)
            if real not in self._files:
                self._files[real] = path
                self._order.append(path)
            return
        if is_folder:
            tree = Tree(path)
        elif is_pattern(source):
            tree = Tree.of_pattern(source)
        else:
            raise BadOption(f"{source} does not exist; name a folder, a file or a manifest.")
        self._refuse_in_dest(tree.base, source)
        if not is_folder and next(tree.pictures(self._dest), None) is None:
            raise BadOption(f"{source} matches no picture; pictures are {READ_LABELS} files.")
        self._trees.append(tree)
        self._order.append(tree)

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

    def _item(self, path: Path, key: str, folder: str) -> Item:
        return _item(self._naming, path, key, folder, {}, self._mask)


def _listed(
    manifest: Manifest, dest: Path, naming: Naming, mask: bool, web: Web | None
) -> Iterator[Item]:
    @lru_cache(maxsize=1024)
    def in_dest(folder: Path) -> bool:
        return within(folder, dest)

    for row in manifest.rows():
        try:
            if (found := located(row.path, web)) is not None:
                source, key, inside = Path(found.path), found.name, [*found.path.parts]
            else:
                source = manifest.file.parent / row.path
                if in_dest(source.parent):
                    raise BadOption(
                        f"{row.path} lies in {dest}, where the results go; name another folder"
                    )
                key = posixpath.normpath(Path(row.path).as_posix())
                inside = key[len(Path(key).drive) :].split("/")
            folder = "/".join(name for name in inside[:-1] if name != "..")
            if row.output is None:
                missing = naming.missing(row.columns)
                columns = {**row.columns, **dict.fromkeys(missing, "_")}
                item = replace(
                    _item(naming, source, key, folder, columns, mask),
                    source=source if found is None else Path(key),
                    named=True,
                    trouble=_unnamed(manifest, row, missing),
                )
            else:
                target = naming.stated(row.output)
                source = source if found is None else Path(key)
                item = Item(key, source, target, mask_of(target) if mask else None, named=True)
        except BadOption as error:
            raise manifest.error(row.line, str(error)) from error
        yield item


def _unnamed(manifest: Manifest, row: Row, missing: Sequence[str]) -> str:
    if not missing:
        return ""
    what = f"the column {missing[0]} is empty, and the naming pattern asks for it; fill it in"
    return str(manifest.error(row.line, what))


def _item(
    naming: Naming, path: Path, key: str, folder: str, columns: Mapping[str, str], mask: bool
) -> Item:
    target = naming.target(folder, path.stem, columns)
    return Item(key, path, target, mask_of(target) if mask else None)


def _names(folders: Sequence[str]) -> dict[str, str]:
    """A name for each folder, its own where no earlier one has it."""
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
