"""Where the result of a picture goes, by a pattern such as "{folder}/{stem}{suffix}"."""

from __future__ import annotations

import hashlib
import os
import re
import string
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import PurePath

from ...core.errors import BadOption
from ...pictures.formats import FormatId, by_id, by_suffix
from ...pictures.places import portable
from ...pictures.results import MASK, OWN_FOLDER

DEFAULT = "{folder}/{stem}{suffix}"

_FIELDS = ("folder", "stem", "suffix", "index")
_MASK = f"{MASK}.png"
# What Windows allows in no name; a zero byte no system does.
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_INDEX_FORMAT = re.compile(r"(0?[1-9][0-9]?)?d?")
# No folder's own name; Windows takes ".. " for "..".
_DOTS = re.compile(r"[. ]+")
_DRIVE = re.compile(r"[A-Za-z]:")
# A number that is not given yet, between two characters that no name can hold.
_NUMBER = re.compile("\0([0-9]*)d?\0")
_LONGEST = 255  # bytes of one name, on every common file system


class Naming:
    """The pattern of the results' paths under DEST, "/" between folders.

    Fields: {folder} and {stem} of the picture, {suffix} of the format, {index}, the picture's
    number in the batch ({index:06d} with zeros), and the columns of a manifest. A column's value is
    one name: what Windows forbids in names becomes "_" there, "/" included. What Windows reserves
    (con, com1, dots and blanks at the end) is renamed wherever it comes from. A name that is too
    long for a file system is shortened to its beginning and a hash.

    Raises BadOption for a pattern that could leave DEST, names nothing, or asks for another format.
    """

    def __init__(self, pattern: str = DEFAULT, format: FormatId = "png") -> None:
        row = by_id(format)
        if row is None:
            raise BadOption(f"There is no picture format {format!r}.")
        self.pattern = pattern
        self._suffixes = row.suffixes
        self._parts = [*self._parse()]
        self._check_shape()

    @property
    def suffix(self) -> str:
        """Return that of every result: ".png", ".jpg", ..."""
        return self._suffixes[0]

    def check(self, columns: Collection[str]) -> None:
        """Raise BadOption for a field that is neither one of ours nor a column of the manifest."""
        allowed = dict.fromkeys((*_FIELDS, *columns))
        for _, field, _ in self._parts:
            if field is not None and field not in allowed:
                choice = ", ".join(f"{{{name}}}" for name in allowed)
                raise self._bad(f"has the unknown field {{{field}}}; there are {choice}")

    def missing(self, columns: Mapping[str, str]) -> list[str]:
        """Return the columns that the pattern asks for, and that a row leaves empty."""
        asked = dict.fromkeys(field for _, field, _ in self._parts if field not in (None, *_FIELDS))
        return [name for name in asked if name and not columns.get(name, "").strip()]

    def target(self, folder: str, stem: str, columns: Mapping[str, str]) -> str:
        """Return the path under DEST. A number in it stands open until `numbered` gives it.

        Raises BadOption when a column that the pattern asks for is missing or empty.
        """
        return _path("".join(self._piece(part, folder, stem, columns) for part in self._parts))

    def stated(self, path: str) -> str:
        """Return the path under DEST of a manifest's `output`; the suffix may be left out.

        Raises BadOption for a path that leaves DEST and for another format.
        """
        names = path.replace("\\", "/").strip().split("/")
        outside = names[0] == "" or _DRIVE.match(path) or ".." in names
        if outside or _DOTS.fullmatch(names[-1] or "."):
            raise BadOption(f"the output {path!r} is no path of a file under DEST")
        if by_suffix(PurePath(names[-1])) is None:
            names[-1] += self.suffix
        if not names[-1].lower().endswith(self._suffixes):
            raise BadOption(f"the output {path!r} is of another format than {self.suffix}")
        return _path("/".join(_name(name) for name in names if name not in ("", ".")))

    def _parse(self) -> list[tuple[str, str | None, str]]:
        try:
            parts = [*string.Formatter().parse(self.pattern)]
        except ValueError as error:
            raise self._bad(f"cannot be read ({error}); write {{{{ for a brace") from error
        for _, field, form, conversion in parts:
            if conversion or (form and (field != "index" or not _INDEX_FORMAT.fullmatch(form))):
                raise self._bad("formats a field; only {index:06d} and the like can be")
        return [(literal, field, form or "") for literal, field, form, _ in parts]

    def _check_shape(self) -> None:
        literal = "".join(text for text, _, _ in self._parts)
        if _FORBIDDEN.search(literal.replace("/", "")):
            raise self._bad('holds one of < > : " \\ | ? *, which not every system allows in names')
        if self.pattern.startswith("/"):
            raise self._bad("is an absolute path; results go under DEST, so begin with a name")
        sample = "".join(
            text + {None: "", "folder": "", "suffix": self.suffix}.get(field, "x")
            for text, field, _ in self._parts
        )
        *folders, name = (part for part in sample.split("/") if part) if sample else [""]
        if any(_DOTS.fullmatch(folder) for folder in folders):
            raise self._bad(
                "has a folder of dots alone, which could lead out of DEST; leave it out"
            )
        if not name.lower().endswith(self._suffixes):
            raise self._bad(f"does not end in {{suffix}}, which is {self.suffix}")
        if name.lower() in self._suffixes:
            raise self._bad("names no file; write {stem}, {index} or a column before {suffix}")
        if folders and place(folders[0]) == OWN_FOLDER:
            raise self._bad(f"leads into {OWN_FOLDER}, where the batch keeps its own files")

    def _piece(
        self, part: tuple[str, str | None, str], folder: str, stem: str, columns: Mapping[str, str]
    ) -> str:
        literal, field, form = part
        if field is None:
            return literal
        if field == "index":
            return f"{literal}\0{form}\0"
        ours = {"folder": folder, "stem": stem, "suffix": self.suffix}
        if field in ours:
            return literal + ours[field].replace("\0", "_")
        if not columns.get(field, "").strip():
            raise BadOption(f"the column {field} is empty, and the naming pattern asks for it")
        return literal + _name(columns[field])

    def _bad(self, what: str) -> BadOption:
        return BadOption(f"The naming pattern {self.pattern!r} {what}.")


def numbered(target: str, number: int) -> str:
    """Return the target with its number in it, which may make a name of Windows's: com1."""
    whole = _NUMBER.sub(lambda match: f"{number:{match[1]}d}", target)
    return "/".join(map(portable, whole.split("/")))


def variant(target: str, count: int) -> str:
    """Return the count-th name for a target: a.png, a-2.png, a-3.png; none is too long."""
    *folders, name = target.split("/")
    stem, dot, suffix = name.rpartition(".")
    mark = "" if count == 1 else f"-{count}"
    return "/".join((*(_shortened(f, "") for f in folders), _shortened(stem, mark + dot + suffix)))


def mask_of(target: str) -> str:
    """Return the mask's path beside its result: a-2-mask.png beside a-2.webp."""
    folder, slash, name = target.rpartition("/")
    return f"{folder}{slash}{_shortened(name.rpartition('.')[0], _MASK)}"


def place(target: str) -> str:
    """Return one string for all the paths that some file system takes for the same file."""
    folded = unicodedata.normalize("NFC", target).casefold()
    return unicodedata.normalize("NFC", folded)


def _path(text: str) -> str:
    """Return a path without empty names; one of dots alone, as a column may give, is none."""
    names = [portable(name) for name in _encodable(text).split("/") if name]
    if place(names[0]) == OWN_FOLDER:
        names[0] = f"_{names[0]}"
    if "." not in names[-1][1:]:  # nothing but a suffix
        names[-1] = f"_{names[-1]}"
    return "/".join(names)


def _name(value: str) -> str:
    """Return a value as one name, without what Windows allows in none."""
    return _FORBIDDEN.sub("_", value).strip().rstrip(". ") or "_"


def _shortened(name: str, end: str) -> str:
    """Return name + end, cut so that it is no longer than a file's name may be."""
    whole = os.fsencode(name)
    if len(whole) + len(end) <= _LONGEST:
        return name + end
    tag = "~" + hashlib.sha256(whole).hexdigest()[:8]
    name = name[:_LONGEST]
    while len(os.fsencode(name)) + len(tag) + len(end) > _LONGEST:
        name = name[:-1]
    return name + tag + end


def _encodable(name: str) -> str:
    """Return a name without what no file's can hold: a JSON text may have half a character."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return "".join("_" if "\ud800" <= mark <= "\udfff" else mark for mark in name)
    return name
