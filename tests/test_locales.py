"""What ComfyUI shows in English, Chinese and Japanese, checked against the nodes themselves.

ComfyUI reads `locales/<language>/main.json` and `nodeDefs.json`. Its texts come before the
schema's, so an English file that is out of date would hide a tooltip that was changed.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TypeAlias

import pytest

from rmbg_nodes.catalogue.backends import BACKENDS, DEFAULT_IDS
from rmbg_nodes.tests.support.hosted.opening import PROVIDERS
from rmbg_nodes.tests.support.wording import TRANSLATED, inputs_of, schemas

Tree: TypeAlias = "dict[str, Tree | str]"

LOCALES = Path(__file__).parent.parent / "locales"
# What a translation repeats letter by letter: numbers, addresses, commands, names in capitals.
LITERAL = re.compile(r"`[^`]+`|https?://\S+|#rrggbb|[A-Z]+_[A-Z]+|[\w.-]*\d[\w.-]*\w|\d+")
# Menus of names: models, number formats, orders of axes, file formats; and names in other menus.
NAMED = ("backend_model", "backend_precision", "backend_patch_order", "format")
NAMES = (*PROVIDERS, "srgb")
# In names and descriptions the frontend reads these as its message syntax.
SYNTAX = set("{}@|")


def english() -> dict[str, Tree]:
    """The nodes' own texts, as the two files of a language have them."""
    nodes: Tree = {}
    folders: Tree = {}
    for schema in schemas():
        nodes[schema.node_id] = {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {
                key: {"name": words.name, "tooltip": "\n".join(words.tooltips)}
                for key, words in inputs_of(schema).items()
            },
            "outputs": {
                str(index): {"name": str(item.id), "tooltip": str(item.settings["tooltip"])}
                for index, item in enumerate(schema.outputs)
            },
        }
        # The first is `image`, which ComfyUI translates itself.
        for folder in schema.category.split("/")[1:]:
            folders[folder] = folder
    return {
        "main.json": {
            "nodeCategories": folders,
            "rmbgChoices": choices(),
            "rmbgNotes": template_notes(),
        },
        "nodeDefs.json": nodes,
    }


def template_notes() -> Tree:
    """Template -> title and text of its note, for web/js/translations.js."""
    found: Tree = {}
    for path in sorted((LOCALES.parent / "workflows").glob("*.json")):
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
        (note,) = [node for node in nodes if node["type"] == "MarkdownNote"]
        found[path.stem] = {"title": note["title"], "text": note["widgets_values"][0]}
    return found


def choices() -> Tree:
    """The words in our menus, for web/js/translations.js; not the names in them."""
    words = {
        choice: choice
        for schema in schemas()
        for key, item in inputs_of(schema).items()
        if key not in NAMED
        for choice in item.choices
    }
    return {word: words[word] for word in words if word not in NAMES}


def read(language: str, name: str) -> Tree:
    return json.loads((LOCALES / language / name).read_text(encoding="utf-8"))


def flat(tree: Tree, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    texts: dict[tuple[str, ...], str] = {}
    for key, value in tree.items():
        if isinstance(value, str):
            texts[path + (key,)] = value
        else:
            texts |= flat(value, (*path, key))
    return texts


def branch(tree: Tree, *path: str) -> Tree:
    for key in path:
        below = tree[key]
        assert isinstance(below, dict)
        tree = below
    return tree


@pytest.mark.parametrize("name", ["main.json", "nodeDefs.json"])
def test_english_is_what_the_nodes_say(name: str) -> None:
    """To renew the English files after a change of the nodes: run with WRITE_LOCALES=1."""
    if os.environ.get("WRITE_LOCALES"):
        text = json.dumps(english()[name], indent=2, ensure_ascii=False) + "\n"
        (LOCALES / "en" / name).write_text(text, encoding="utf-8", newline="\n")
    assert read("en", name) == english()[name], "run WRITE_LOCALES=1 pytest tests/test_locales.py"


def test_every_language_has_these_files_and_no_others() -> None:
    found = sorted(str(path.relative_to(LOCALES)) for path in LOCALES.rglob("*.*"))
    languages = ("en", *TRANSLATED)
    assert [Path(path).as_posix() for path in found] == sorted(
        f"{language}/{name}" for language in languages for name in ("main.json", "nodeDefs.json")
    )


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("name", ["main.json", "nodeDefs.json"])
def test_a_translation_is_complete(language: str, name: str) -> None:
    ours, theirs = flat(read(language, name)), flat(english()[name])
    assert list(ours) == list(theirs), f"the texts of locales/{language}/{name}, in order"
    left = [key for key, text in ours.items() if text.isascii()]
    assert left == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_keeps_numbers_commands_and_choices(language: str) -> None:
    """A menu shows the English word behind its translation, and a tooltip names it as it is."""
    own, translated = english()["nodeDefs.json"], read(language, "nodeDefs.json")
    lost: list[tuple[str, str]] = []
    for schema in schemas():
        inputs = inputs_of(schema)
        ours = flat(branch(translated, schema.node_id, "inputs"))
        for (key, part), text in flat(branch(own, schema.node_id, "inputs")).items():
            kept = LITERAL.findall(text)
            kept += [choice for choice in inputs[key].choices if f"{choice}: " in text]
            lost += [(key, word) for word in kept if word not in ours[key, part]]
    assert lost == [], f"not in locales/{language}/nodeDefs.json"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_names_every_backend(language: str) -> None:
    """Hosted providers are in the tooltip of the menu, models in that of their own."""
    texts = flat(branch(read(language, "nodeDefs.json"), "RMBG_Load", "inputs"))
    assert {id for id in DEFAULT_IDS if id not in texts["backend", "tooltip"]} == set(), (
        f"not in locales/{language}/nodeDefs.json, RMBG_Load, backend"
    )
    models = {row.model for row in BACKENDS.values()}
    assert {name for name in models if name not in texts["backend_model", "tooltip"]} == set(), (
        f"not in locales/{language}/nodeDefs.json, RMBG_Load, backend_model"
    )


@pytest.mark.parametrize("language", TRANSLATED)
@pytest.mark.parametrize("name", template_notes())
def test_a_note_keeps_its_paragraphs_and_names(language: str, name: str) -> None:
    """What is bold and literal, a file or a variable, is the same in every language."""
    english_note = str(branch(read("en", "main.json"), "rmbgNotes", name)["text"])
    note = str(branch(read(language, "main.json"), "rmbgNotes", name)["text"])
    assert note.count("\n\n") == english_note.count("\n\n")
    literal = re.compile(
        r"\*\*([\w./-]*[._/][\w./-]*)\*\*|\b(" + "|".join(PROVIDERS) + r"|local|RGBA)\b"
    )
    for match in literal.finditer(english_note):
        assert (match[1] or match[2]) in note


@pytest.mark.parametrize("language", ["en", *TRANSLATED])
def test_the_frontend_reads_no_syntax_into_a_text(language: str) -> None:
    for path, text in flat(read(language, "nodeDefs.json")).items():
        if path[-1] != "tooltip":
            assert not SYNTAX & set(text), path
