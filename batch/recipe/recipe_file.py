"""A recipe as people write it: a TOML file over a preset, and the command line over both."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from ...catalogue.backends import check_options, find
from ...config.toml import parse_toml
from ...core.errors import BadOption
from ...pictures.formats import FormatId
from .canvas import Canvas
from .model import Output, Recipe, is_picture
from .presets import find_preset
from .recipe_keys import OPTIONS, ROWS, TABLES
from .recipe_values import Key, place_of

T = TypeVar("T")

#: (table, key) -> the value that a Recipe takes.
_Values = dict[tuple[str, str], Any]

_BACKGROUND, _FIT = ("canvas", "background"), ("canvas", "fit")
_FILL, _MARGIN = ("canvas", "fill"), ("canvas", "margin")
#: Without one of these the subject stays where it is.
_MOVES = (("canvas", "size"), _FILL, _MARGIN)
_LONGEST_SHOWN = 60


@dataclass
class _Layer:
    """What one place says."""

    name: str
    """As messages call it."""
    folder: Path
    values: _Values = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    """Sentences."""

    def wrong(self, words: str) -> None:
        """Note a mistake."""
        self.mistakes.append(f"{self.name}: {words}")


def read_recipe(
    file: Path | None = None,
    over: Mapping[str, object] | None = None,
    *,
    over_name: str = "the command line",
) -> Recipe:
    """Return the recipe of a TOML file, or the default one, with the keys of `over` in its place.

    over: tables and keys as the file has them ({"preset": "amazon", "output": {"quality": 90}}),
    with paths relative to the working folder; over_name: how messages call it. A key of `over` wins
    over the file's, and that over the preset's; what belongs to a value that was overridden goes
    with it, as the quality of a JPEG does when the format becomes PNG.

    Raises BadOption with every mistake that was found, each as "FILE: [table] key ...".
    """
    layers = []
    if file is not None:
        name = f"The recipe {file}"
        layers.append(_layer(parse_toml(_bytes(file), name, parse_float=Decimal), file))
    if over:
        layers.append(_layer(over, over_name))
    _raise(mistake for layer in layers for mistake in layer.mistakes)
    merged: _Values = {}
    presets = [layer.values.pop(("", "preset"), None) for layer in layers]
    chosen = next((preset for preset in reversed(presets) if preset), None)
    if chosen:
        merged = _layer(find_preset(chosen).tables(), chosen).values
    for layer in layers:
        merged = _over(merged, layer.values)
    return _recipe(merged, layers)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(f"The recipe {file} cannot be read ({reason}); name another.") from error


def _layer(given: Mapping[str, object], place: Path | str) -> _Layer:
    folder = place.parent if isinstance(place, Path) else Path()
    layer = _Layer(str(place), folder)
    for name, value in given.items():
        if name in TABLES:
            if isinstance(value, Mapping):
                for key, inner in value.items():
                    _take(layer, name, str(key), inner)
            else:
                layer.wrong(f"{name} is a table; write [{name}] on a line above its keys.")
        else:
            _take(layer, "", name, value)
    if _FILL in layer.values and _MARGIN in layer.values:
        layer.wrong("[canvas] fill and margin say the same; keep one of them.")
    return layer


def _take(layer: _Layer, table: str, name: str, value: object) -> None:
    """Read one key of a file, or note a mistake."""
    if table == OPTIONS:
        plain = float(value) if isinstance(value, Decimal) else value
        if isinstance(plain, (str, int, float)):
            layer.values[table, name] = plain
        else:
            layer.wrong(f"[{table}] {name} must be a text, a number, true or false.")
        return
    key = ROWS.get((table, name))
    if key is None:
        layer.wrong(_unknown(table, name, value))
        return
    try:
        read: Any = key.read(value)
    except ValueError:
        layer.wrong(
            f"{key.place} is {_shown(value)}; it must be {key.kind.takes}.{_near(key, value)}"
        )
        return
    if (table, name) == _BACKGROUND and is_picture(read):
        path = (layer.folder / read).absolute()  # workers have other working folders
        if not path.is_file():
            layer.wrong(f"{key.place} is {_shown(value)}, and there is no such file.")
        read = str(path)
    layer.values[table, name] = read


def _over(below: _Values, above: _Values) -> _Values:
    """Return both, where `above` wins; what belongs to a value that it overrides goes with that."""
    gone = set()
    if _FILL in above or _MARGIN in above:
        gone |= {_FILL, _MARGIN}
    if above.get(_FIT, "subject") != "subject":
        gone |= {_FILL, _MARGIN}
    format = "output", "format"
    if format in above:
        gone |= {
            key for key in below if key[0] == "output" and not _held(above[format], key, below)
        }
    backend = "", "backend"
    if backend in above:
        before = below.get(backend, Recipe().backend)
        if find(before).provider != find(above[backend]).provider:
            gone |= {key for key in below if key[0] == OPTIONS}
    return {key: value for key, value in below.items() if key not in gone} | above


def _held(format: FormatId, key: tuple[str, str], values: _Values) -> bool:
    """Return whether this format has such a setting."""
    try:
        replace(Output(format), **{key[1]: values[key]})
    except BadOption:
        return False
    return True


def _recipe(values: _Values, layers: Iterable[_Layer]) -> Recipe:
    name = next((layer.name for layer in layers), "The recipe")
    mistakes: list[str] = []

    def made(place: str, make: Callable[..., T], given: Mapping[str, Any]) -> T | None:
        try:
            return make(**given)
        except BadOption as error:
            mistakes.append(f"{name}: {place}{error}")
            return None

    def table(wanted: str) -> dict[str, Any]:
        return {key: value for (table, key), value in values.items() if table == wanted}

    top, canvas, options = table("") | table("edges"), table("canvas"), table(OPTIONS)
    if "background" in canvas:
        top["background"] = canvas.pop("background")
    spec = find(top.get("backend", Recipe().backend))
    for option, value in options.items():
        made(f"[{OPTIONS}] ", lambda **one: check_options(spec, one), {option: value})
    output = made("[output] ", Output, table("output"))
    if canvas:
        moves = any(key in values for key in _MOVES)
        fit = canvas.setdefault("fit", "subject" if moves else "none")
        for said in ("fill", "margin"):
            if said in canvas and fit != "subject":
                mistakes.append(f'{name}: [canvas] {said} goes with fit = "subject", not {fit}.')
        if "fill" in canvas:
            canvas["margin"] = canvas.pop("fill")
        top["canvas"] = made("[canvas] ", Canvas, canvas)
    if not mistakes:
        recipe = made("", Recipe, {**top, "options": options, "output": output})
        if recipe is not None:
            return recipe
    _raise(mistakes)
    raise AssertionError("no recipe and no mistake")


def _raise(mistakes: Iterable[str]) -> None:
    found = list(mistakes)
    if len(found) == 1:
        raise BadOption(found[0])
    if found:
        raise BadOption("\n".join([f"{len(found)} mistakes in the recipe:", *found]))


def _unknown(table: str, name: str, value: object) -> str:
    """Return the sentence for a key that there is not, with the one that was probably meant."""
    places = {key.place: key.name for key in ROWS.values()} | {f"[{one}]": one for one in TABLES}
    here = place_of(table, name)
    if table == "" and isinstance(value, Mapping):
        here = f"[{name}]"
    near = difflib.get_close_matches(name, [*places.values()], n=1, cutoff=0.6)
    # Of the same table first: two tables may have keys alike.
    close = sorted(
        (place for place, known in places.items() if known in near),
        key=lambda place: not place.startswith(f"[{table}]"),
    )
    if close:
        return f"{here} is no key of a recipe; did you mean {close[0]}?"
    keys = [key.name for key in ROWS.values() if key.table == table] if table else []
    listed = ", ".join(keys or (*(key.name for key in ROWS.values() if not key.table), *TABLES))
    return f"{here} is no key of a recipe. There are: {listed}."


def _near(key: Key, value: object) -> str:
    near = difflib.get_close_matches(str(value), key.kind.words, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _shown(value: object) -> str:
    """Return a value as the file writes it, not longer than a line can take."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str):
        text = repr(value)
    elif isinstance(value, list):
        text = f"[{', '.join(map(_shown, value))}]"
    else:
        text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
