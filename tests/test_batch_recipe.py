"""The recipe of a batch: what a file may say, what is said of a wrong one, and its digest."""

# Pins the inside of batch.recipe.model
# Pins the inside of batch.recipe.presets
# Pins the inside of batch.recipe.recipe_keys
# Pins the inside of batch.recipe.recipe_values

from __future__ import annotations

import pickle
import re
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rmbg_nodes.batch import Canvas, Output, Recipe, read_recipe
from rmbg_nodes.batch.recipe.model import _ONLY_HOW
from rmbg_nodes.batch.recipe.presets import PRESETS, find_preset
from rmbg_nodes.batch.recipe.recipe_keys import KEYS, TABLES
from rmbg_nodes.batch.recipe.recipe_values import Key
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.core.errors import BackendUnknown, BadOption
from rmbg_nodes.core.specs import OptionValue

WHITE = 'background = "white"'
# For every key: a line that is right, with what becomes of it, and values that are wrong.
RIGHT: dict[str, tuple[str, Any]] = {
    "preset": ('"shopify"', (2048, 2048)),
    "backend": ('"keyer"', "keyer"),
    "usage": ('"commercial"', "commercial"),
    "max_cost": ("0.018", Decimal("0.018")),
    "max_megapixels": ("12.5", 12.5),
    "[edges] refine": ("false", False),
    "[edges] solid": ("false", False),
    "[edges] decontaminate": ("0.5", 0.5),
    "[canvas] size": ("[1801, 2600]", (1801, 2600)),
    "[canvas] background": ('"#ff8800"', "#ff8800"),
    "[canvas] fit": ('"contain"', "contain"),
    "[canvas] fill": ("0.85", 0.075),
    "[canvas] margin": ("0.1", 0.1),
    "[canvas] anchor": ('"bottom"', "bottom"),
    "[canvas] offset": ("[-3, 40]", (-3, 40)),
    "[canvas] scale": ("1.5", 1.5),
    "[canvas] shadow": ("1", 1.0),
    "[canvas] blend": ('"linear"', "linear"),
    "[output] format": ('"tif"', "tiff"),
    "[output] quality": ("90", 90),
    "[output] depth": ("16", 16),
    "[output] effort": ("1", 1),
    "[output] naming": ('"{sku}{suffix}"', "{sku}{suffix}"),
    "[output] mask": ("true", True),
    "[output] provenance": ("false", False),
}
WRONG: dict[str, tuple[str, ...]] = {
    "preset": ('"amzn"', "1"),
    "backend": ('"birja"', "true"),
    "usage": ('"free"', "0"),
    "max_cost": ("-1", "nan", '"much"', "true", "[1]"),
    "max_megapixels": ("0", "-1", "inf", '"64"', "true"),
    "[edges] refine": ('"yes"', "1"),
    "[edges] solid": ('"yes"', "1"),
    "[edges] decontaminate": ("1.1", "-0.1", "nan", '"1"', "true"),
    "[canvas] size": ("[2000]", "[0, 10]", "[1.5, 2]", '"round"', "2000", "[200000, 200000]"),
    "[canvas] background": ('"whit"', '"#ff000080"', "255", '""'),
    "[canvas] fit": ('"crop"', "1"),
    "[canvas] fill": ("0", "1.01", "85", '"0.85"', "true"),
    "[canvas] margin": ("0.5", "0.51", "-0.1", '"5%"'),
    "[canvas] anchor": ('"middle"', "5"),
    "[canvas] offset": ("[1]", "[0.5, 1]", "3", "[true, 1]"),
    "[canvas] scale": ("0", "-1", "inf", '"2"'),
    "[canvas] shadow": ("2", '"soft"'),
    "[canvas] blend": ('"multiply"', "1"),
    "[output] format": ('"gif"', "1", '"PNG "'),
    "[output] quality": ("0", "101", "92.5", '"high"', "true"),
    "[output] depth": ("12", "8.0", '"8"', "true"),
    "[output] effort": ("0", "10", "1.5", "true"),
    "[output] naming": ('""', '"a\\nb"', "1"),
    "[output] mask": ("1", '"yes"'),
    "[output] provenance": ("0", '"no"'),
}
DIGEST_OF_THE_DEFAULT = "b9475d6572d6caceaab26da908a40e11ec11fa2b08c2268a8800e52b461b7d0e"
# What a key needs beside it to mean anything.
BESIDE = {"[output] quality": 'format = "webp"'}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return tmp_path / "shop.toml"


def lines(key: Key, value: str) -> str:
    table = f"[{key.table}]\n" if key.table else ""
    return f"{table}{BESIDE.get(key.place, '')}\n{key.name} = {value}\n"


def refused(path: Path, text: str, over: dict[str, object] | None = None) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadOption) as refusal:
        read_recipe(path, over)
    return str(refusal.value)


def found(recipe: Recipe, key: Key) -> object:
    """Where the value of a key stands in a Recipe."""
    name = {"fill": "margin", "preset": "size"}.get(key.name, key.name)
    holders = (recipe.output, recipe.canvas, recipe)
    return next(getattr(holder, name) for holder in holders if hasattr(holder, name))


def test_every_key_is_tried_below() -> None:
    assert {key.place for key in KEYS} == set(RIGHT) == set(WRONG)


def test_every_field_has_its_key() -> None:
    names = {one.name for owner in (Recipe, Canvas, Output) for one in fields(owner)}
    assert {key.name for key in KEYS} == names - {"options", "canvas", "output"} | {
        "preset",
        "fill",
    }


def test_nothing_said_is_the_default_recipe(shop: Path) -> None:
    shop.write_text("# nothing\n")
    assert read_recipe(shop) == read_recipe() == Recipe()


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.place)
def test_every_key_does_what_it_says(shop: Path, key: Key) -> None:
    value, expected = RIGHT[key.place]
    shop.write_text(lines(key, value))
    recipe = read_recipe(shop)
    assert found(recipe, key) == expected
    assert type(found(recipe, key)) is type(expected)
    assert found(Recipe(canvas=Canvas()), key) != expected


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in KEYS for value in WRONG[key.place]],
    ids=lambda part: part.place if isinstance(part, Key) else part,
)
def test_every_key_says_what_it_must_be(shop: Path, key: Key, value: str) -> None:
    said = refused(shop, lines(key, value))
    assert said.startswith(f"{shop}: {key.place} is ")
    assert f"; it must be {key.kind.takes}." in said
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('preset = "amazn"', "Did you mean amazon?"),
        ('[canvas]\nanchor = "botom"', "Did you mean bottom?"),
        ('[canvas]\nbackground = "whit"', "Did you mean white?"),
        ('backend = "local/rmbg-2"', "Did you mean local/rmbg-2.0?"),
        ("backnd = 1", "backnd is no key of a recipe; did you mean backend?"),
        ("[canvas]\nfil = 1", "[canvas] fil is no key of a recipe; did you mean [canvas] fill?"),
        (
            "[output]\nmarks = 1",
            "[output] marks is no key of a recipe; did you mean [output] mask?",
        ),
        ('format = "png"', "format is no key of a recipe; did you mean [output] format?"),
        ("[edges]\nshadow = 1", "did you mean [canvas] shadow?"),
        ("[canvass]\nfill = 1", "[canvass] is no key of a recipe; did you mean [canvas]?"),
        ("zzz = 1", "There are: preset, backend, usage, max_cost, max_megapixels, edges, canvas,"),
        ("[edges]\nzzz = 1", "There are: refine, solid, decontaminate."),
        ('canvas = "white"', "canvas is a table; write [canvas] on a line above its keys."),
        ("[canvas]\nfill = 0.8\nmargin = 0.1", "[canvas] fill and margin say the same"),
        ('[canvas]\nfill = 0.8\nfit = "cover"', '[canvas] fill goes with fit = "subject", not cov'),
        ('[canvas]\nsize = "square"\nfit = "none"', "[canvas] A square canvas is made around the"),
        (
            '[canvas]\nbackground = "no.jpg"',
            "[canvas] background is 'no.jpg', and there is no such",
        ),
        (
            "[output]\nnaming = '../{stem}{suffix}'",
            "[output] The naming pattern '../{stem}{suffix}'",
        ),
        ("[output]\nquality = 90", "[output] PNG has no quality"),
        ('[output]\nformat = "webp"\neffort = 2', "[output] effort is a setting of PNG"),
        ('[output]\nformat = "jpeg"\ndepth = 16', "[output] JPEG cannot hold 16 bits"),
        (
            '[output]\nformat = "jpg"',
            "JPEG has no transparency; choose a background, such as white",
        ),
        ("[canvas]\nsize = [20000, 9]\n[output]\nformat = 'webp'", "WebP holds at most 16383"),
        ('[options]\nprecision = "half"', "[options] local/rmbg-2.0: precision is 'half'"),
        ('backend = "keyer"\n[options]\nmod = "x"', "[options] keyer has no option 'mod'"),
        ("[options]\nresolution = 1.5", "[options] local/rmbg-2.0: resolution must be of type int"),
        ("[options]\nresolution = [1]", "[options] resolution must be a text, a number, true or"),
    ],
)
def test_a_mistake_is_named_with_the_way_out(shop: Path, text: str, words: str) -> None:
    said = refused(shop, text)
    assert said.startswith(f"{shop}: ")
    assert words in said


def test_all_mistakes_are_told_at_once(shop: Path) -> None:
    said = refused(shop, "format = 1\nbackend = 2\n[canvas]\nfill = 7\n[output]\nmask = 3\n")
    assert said.splitlines()[0] == "4 mistakes in the recipe:"
    starts = ("format is", "backend is", "[canvas] fill", "[output] mask")
    for line, start in zip(said.splitlines()[1:], starts, strict=True):
        assert line.startswith(f"{shop}: {start}")
    said = refused(
        shop, '[canvas]\nfit = "none"\nsize = "square"\n[output]\nquality = 5\n[options]\nx = 1'
    )
    assert said.startswith("3 mistakes")


def test_a_long_value_does_not_fill_the_screen(shop: Path) -> None:
    assert len(refused(shop, f'usage = "{"long " * 400}"')) < 300


@pytest.mark.parametrize(
    "line",
    ['fal_key = "x"', '[options]\ntoken = "x"', 'backend = "hf_abcdefghijklmnopqrstuvwxyz"'],
)
def test_nothing_secret_is_taken_or_repeated(shop: Path, line: str) -> None:
    said = refused(shop, line)
    assert "keys set" in said
    assert str(shop) in said
    assert "abcdef" not in said


def test_what_is_no_recipe_file(shop: Path, tmp_path: Path) -> None:
    assert "is not TOML" in refused(shop, "size = = 1")
    for path in (tmp_path / "gone.toml", tmp_path, Path("a\0b")):
        with pytest.raises(BadOption, match="cannot be read"):
            read_recipe(path)


def test_what_an_editor_on_windows_writes(shop: Path) -> None:
    shop.write_bytes(b"\xef\xbb\xbf# mine\r\n[canvas]\r\nbackground = 'white'\r\n")
    assert read_recipe(shop).background == "white"


def test_the_fit_follows_from_what_is_given(shop: Path) -> None:
    """A size, fill or margin makes room for the subject; a colour or a shadow moves nothing."""
    for text, fit in {
        "size = [9, 9]": "subject",
        'size = "source"': "subject",
        "fill = 0.9": "subject",
        "margin = 0": "subject",
        "shadow = 0.5": "none",
        'blend = "linear"': "none",
        'fill = 0.9\nfit = "subject"': "subject",
    }.items():
        shop.write_text(f"[canvas]\n{text}\n")
        canvas = read_recipe(shop).canvas
        assert canvas is not None
        assert canvas.fit == fit, text
    shop.write_text(f"[canvas]\n{WHITE}\n")
    assert read_recipe(shop).canvas is None


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(shop: Path) -> None:
    shop.write_text('preset = "white-2000"\n[canvas]\nanchor = "bottom"\n[output]\nquality = 80\n')
    recipe = read_recipe(shop, {"output": {"quality": 70}, "max_cost": "0.5"})
    assert recipe.canvas == Canvas((2000, 2000), "subject", 0.075, "bottom")
    assert recipe.output == Output("jpeg", 70)
    assert recipe.max_cost == Decimal("0.5")
    other = read_recipe(shop, {"preset": "zalando"})
    assert other.canvas == Canvas((1801, 2600), "subject", 0.075, "bottom")
    assert other.output.quality == 80


@pytest.mark.parametrize(
    ("text", "over", "recipe"),
    [
        (
            'preset = "white-2000"\n[output]\nformat = "png"\neffort = 2',
            {},
            Recipe(
                background="white",
                canvas=Canvas((2000, 2000), margin=0.075),
                output=Output("png", effort=2),
            ),
        ),
        (
            'preset = "white-2000"\n[output]\nformat = "webp"',
            {},
            Recipe(
                background="white",
                canvas=Canvas((2000, 2000), margin=0.075),
                output=Output("webp", 92),
            ),
        ),
        (
            'preset = "white-2000"\n[canvas]\nfit = "contain"',
            {},
            Recipe(
                background="white",
                canvas=Canvas((2000, 2000), "contain"),
                output=Output("jpeg", 92),
            ),
        ),
        (
            "[canvas]\nmargin = 0.2",
            {"canvas": {"fill": 0.5}},
            Recipe(canvas=Canvas(margin=0.25)),
        ),
        (
            "[output]\ndepth = 16\nmask = true",
            {"output": {"format": "webp"}},
            Recipe(output=Output("webp", mask=True)),
        ),
        (
            'backend = "replicate"\n[options]\ncontent_moderation = true',
            {"backend": "local/birefnet"},
            Recipe("local/birefnet"),
        ),
        (
            "[options]\nresolution = 512",
            {"backend": "local/rmbg-1.4"},
            Recipe("local/rmbg-1.4", options={"resolution": 512}),
        ),
    ],
)
def test_what_belongs_to_an_overridden_value_goes_with_it(
    shop: Path, text: str, over: dict[str, object], recipe: Recipe
) -> None:
    shop.write_text(text)
    assert read_recipe(shop, over) == recipe


def test_mistakes_of_the_command_line_are_called_so(shop: Path) -> None:
    assert refused(shop, "", {"output": {"quality": 0}}).startswith(
        "the command line: [output] quality is 0;"
    )
    with pytest.raises(BadOption, match=r"^the call: \[edges\] refine is 1;"):
        read_recipe(over={"edges": {"refine": 1}}, over_name="the call")


def test_a_background_picture_lies_beside_the_recipe(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sets").mkdir()
    for path in (tmp_path / "sets" / "wood.jpg", tmp_path / "here.png"):
        path.write_bytes(b"picture")
    shop.write_text("[canvas]\nbackground = 'sets/wood.jpg'\n[output]\nformat = 'jpeg'\n")
    recipe = read_recipe(shop)
    assert recipe.picture == tmp_path / "sets" / "wood.jpg"
    assert recipe.picture.is_absolute()
    assert recipe.colour is None
    assert not recipe.transparent
    monkeypatch.chdir(tmp_path)
    assert read_recipe(shop, {"canvas": {"background": "here.png"}}).picture == (
        tmp_path / "here.png"
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_recipe(shop: Path, name: str) -> None:
    row = find_preset(name)
    recipe = read_recipe(over={"preset": name})
    assert recipe.canvas is not None
    assert recipe.canvas.size == row.size
    assert 1 - 2 * recipe.canvas.margin == pytest.approx(row.fill)
    assert (recipe.background, recipe.output.format) == (row.background, row.format)
    assert recipe.output.quality == row.quality


def test_every_preset_of_a_marketplace_has_its_source() -> None:
    neutral = {"white-2000", "transparent-square"}
    for row in PRESETS.values():
        assert bool(row.source) == (row.name not in neutral)
        if row.source:
            assert row.source.startswith("https://")
            assert re.fullmatch(r"20\d\d-\d\d-\d\d", row.read_on)
        assert set(row.ours) <= {"size", "fill", "background", "format", "quality"}
    with pytest.raises(BadOption, match="Choose one of: white-2000, "):
        find_preset("nope")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recipe(output=Output("jpeg")), "JPEG has no transparency"),
        (lambda: Recipe(background="#fff8"), "translucent"),
        (lambda: Recipe(background="whit"), "A picture file ends in the suffix of"),
        (lambda: Recipe(decontaminate=2), "decontamination is 2"),
        (lambda: Recipe(max_megapixels=0), "max_megapixels is 0"),
        (lambda: Recipe(usage="free"), "usage is 'free'"),  # type: ignore[arg-type]
        (lambda: Recipe(options={"mode": "plain"}), "has no option 'mode'"),
        (lambda: Canvas((0, 5)), "must be width and height"),
        (lambda: Canvas((30_000, 30_000)), "too large"),
        (lambda: Canvas("round"), "no size of a canvas"),  # type: ignore[arg-type]
        (lambda: Canvas("square", fit="cover"), "its fit is subject, not cover"),
        (lambda: Canvas(margin=0.5), "The margin is 0.5"),
        (lambda: Output("gif"), "no picture format 'gif'"),  # type: ignore[arg-type]
        (lambda: Output("jpeg", 0), "quality is 0"),
        (lambda: Output("webp", depth=16), "WebP cannot hold 16 bits"),
        (lambda: Output(effort=10), "effort is 10"),
        (lambda: Output(naming=""), "The naming pattern ''"),
        (lambda: Output("jpeg", naming="{stem}.png"), "does not end in {suffix}, which is .jpg"),
    ],
)
def test_a_recipe_made_in_python_is_checked_too(make, words: str) -> None:
    with pytest.raises(BadOption, match=re.escape(words)):
        make()


def test_an_unknown_backend() -> None:
    with pytest.raises(BackendUnknown):
        Recipe("birja")


CHANGES: dict[str, Recipe] = {
    "backend": Recipe("keyer"),
    "options": Recipe(options={"resolution": 512}),
    "refine": Recipe(refine=False),
    "solid": Recipe(solid=False),
    "decontaminate": Recipe(decontaminate=0.5),
    "background": Recipe(background="white"),
    "colour": Recipe(background="#fffffe"),
    "canvas": Recipe(canvas=Canvas()),
    "size": Recipe(canvas=Canvas((10, 10))),
    "margin": Recipe(canvas=Canvas(margin=0.1)),
    "anchor": Recipe(canvas=Canvas(anchor="top")),
    "format": Recipe(output=Output("webp")),
    "quality": Recipe(output=Output("webp", 90)),
    "depth": Recipe(output=Output(depth=8)),
    "naming": Recipe(output=Output(naming="{stem}{suffix}")),
    "mask": Recipe(output=Output(mask=True)),
    "provenance": Recipe(output=Output(provenance=False)),
}


def test_all_that_changes_a_result_changes_the_digest() -> None:
    digests = {Recipe().digest(), *(recipe.digest() for recipe in CHANGES.values())}
    assert len(digests) == len(CHANGES) + 1


def test_what_changes_no_result_keeps_the_digest() -> None:
    plain = Recipe().digest()
    assert replace(
        Recipe(), usage="commercial", max_cost=Decimal(5), max_megapixels=9
    ).digest() == (plain)
    assert Recipe("local/rmbg-2.0").digest() == plain
    assert (
        Recipe(background="white").digest()
        == Recipe(background="#FFF").digest()
        == Recipe(background="255, 255, 255").digest()
    )
    assert Recipe(decontaminate=1).digest() == plain
    how: dict[str, OptionValue] = {"download": True, "resolution": 0}
    assert Recipe(options=how).digest() == plain
    again: dict[str, OptionValue] = {"resubmit": True, "client": "official", "profile": "b"}
    assert Recipe("fal", options=again).digest() == Recipe("fal/rmbg-2.0").digest()
    ordered: dict[str, OptionValue] = {"resolution": 64, "weights": "a"}
    turned: dict[str, OptionValue] = {"weights": "a", "resolution": 64}
    assert Recipe(options=ordered).digest() == Recipe(options=turned).digest()


def test_a_run_that_pays_again_for_lost_pictures_does_not_do_the_others_again() -> None:
    names = {option.name for row in BACKENDS.values() for option in row.options}
    assert set(_ONLY_HOW) <= names


def test_the_digest_of_a_release_is_that_of_the_next() -> None:
    """Else an update would do every catalogue again."""
    assert Recipe().digest() == DIGEST_OF_THE_DEFAULT


def test_a_changed_background_picture_changes_the_digest(tmp_path: Path) -> None:
    picture = tmp_path / "wood.png"
    picture.write_bytes(b"one")
    recipe = Recipe(background=str(picture))
    first = recipe.digest()
    picture.write_bytes(b"two")
    second = recipe.digest()
    moved = tmp_path / "moved.png"
    moved.write_bytes(b"one")
    assert first != second
    assert Recipe(background=str(moved)).digest() == first
    picture.unlink()
    with pytest.raises(BadOption, match="cannot be read"):
        recipe.digest()


def test_a_recipe_can_be_sent_to_another_process() -> None:
    for recipe in CHANGES.values():
        assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_recipes_of_the_documentation(root: Path, tmp_path: Path) -> None:
    examples = sorted((root / "docs" / "examples").glob("*.toml"))
    assert len(examples) == 2
    page = (root / "docs" / "batch.md").read_text(encoding="utf-8")
    shown = tmp_path / "shown.toml"
    shown.write_text(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0], encoding="utf-8")
    for path in (*examples, shown):
        recipe = read_recipe(path)
        assert recipe.usage == "commercial"
        assert recipe.canvas is not None


def test_the_tables_and_keys_of_the_reference() -> None:
    assert TABLES == ("edges", "canvas", "output", "options")
    assert all(key.what.endswith(".") for key in KEYS)
    taken = {word for key in KEYS if key.name == "backend" for word in key.kind.words}
    assert set(BACKENDS) <= taken
