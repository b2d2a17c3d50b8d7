"""The help pages that ComfyUI shows: one for each node and language, and nothing in it dead.

The frontend asks for `docs/<node>/<language>.md`, then for `docs/<node>.md`; pictures are looked
for from `docs/` in both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import rmbg_nodes
from rmbg_nodes.tests.support.wording import TRANSLATED, inputs_of, schemas

ROOT = Path(__file__).parent.parent
DOCS, LOCALES = ROOT / "web" / "docs", ROOT / "locales"
LANGUAGES = ("en", *TRANSLATED)
NODES = tuple(schema.node_id for schema in schemas())
MOST_BYTES = 150_000
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)]+)\)")
REPOSITORY = "https://github.com/rmbg-nodes/rmbg-nodes/blob/main/"

each_page = pytest.mark.parametrize(
    ("node", "language"), [(node, language) for node in NODES for language in LANGUAGES]
)


def page(node: str, language: str) -> str:
    path = DOCS / f"{node}.md" if language == "en" else DOCS / node / f"{language}.md"
    return path.read_text(encoding="utf-8")


def pages() -> Iterator[str]:
    return (page(node, language) for node in NODES for language in LANGUAGES)


def test_comfyui_is_told_where_the_pages_are() -> None:
    assert (ROOT / rmbg_nodes.WEB_DIRECTORY / "docs").samefile(DOCS)


def test_there_is_a_page_for_each_node_and_no_other() -> None:
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    wanted = {f"{node}.md" for node in NODES} | {
        f"{node}/{language}.md" for node in NODES for language in TRANSLATED
    }
    assert found == wanted, f"in web/docs: {sorted(found ^ wanted)}"


@each_page
def test_every_input_output_and_choice_is_explained(node: str, language: str) -> None:
    text = page(node, language)
    (schema,) = [schema for schema in schemas() if schema.node_id == node]
    inputs = inputs_of(schema).values()
    words = {str(output.id) for output in schema.outputs}
    words |= {word for shown in inputs for word in (shown.name, *shown.choices)}
    missing = [word for word in sorted(words) if f"`{word}`" not in text]
    assert missing == [], f"not in web/docs, {node}, {language}"


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("node", NODES)
def test_the_names_on_the_screen_are_those_of_the_page(node: str, language: str) -> None:
    shown = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))[node]
    text = page(node, language)
    items = [*shown["inputs"].values(), *shown["outputs"].values()]
    assert [item["name"] for item in items if f"**{item['name']}**" not in text] == []


@each_page
def test_a_page_has_a_picture_and_the_usual_parts(node: str, language: str) -> None:
    text, english = page(node, language), page(node, "en")
    assert PICTURE.findall(text) == PICTURE.findall(english) != []
    assert re.findall(r"^#+", text, re.MULTILINE) == re.findall(r"^#+", english, re.MULTILINE)
    assert "VAE" in text or node == "RMBG_Load"
    assert LINK.findall(text) == LINK.findall(english)


def test_pictures_are_there_small_and_used() -> None:
    used = {picture for text in pages() for picture in PICTURE.findall(text)}
    assert used == {path.relative_to(DOCS).as_posix() for path in (DOCS / "assets").iterdir()}
    for name in used:
        assert (DOCS / name).stat().st_size < MOST_BYTES, name
        with Image.open(DOCS / name) as picture:
            assert 300 <= picture.width <= 800, name


def test_no_link_into_the_repository_is_dead() -> None:
    links = {link for text in pages() for link in LINK.findall(text)}
    ours = {link for link in links if not link.startswith("https://bria.ai/")}
    assert [link for link in ours if not link.startswith(REPOSITORY)] == []
    assert [link for link in ours if not (ROOT / link.removeprefix(REPOSITORY)).is_file()] == []
