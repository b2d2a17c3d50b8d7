"""The documentation says what the code says, and its links lead somewhere.

What is made of the code (tables, signatures, the command line) is renewed by
`python scripts/make_docs.py`.
"""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

import rmbg_nodes
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.catalogue.licences import LICENCES
from rmbg_nodes.cli import main
from rmbg_nodes.config.settings import VARIABLES
from rmbg_nodes.core import errors
from rmbg_nodes.tests.support import handbook

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Not ours to check: what tools leave behind, and the pages that ComfyUI serves by addresses of its
# own.
_ELSEWHERE = ("build", "dist", "demo-output", "test-output", "web")
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part[0] == "." and part != ".github" for part in path.relative_to(ROOT).parts)
    and path.relative_to(ROOT).parts[0] not in _ELSEWHERE
)
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())

_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# The parts of our sentences that are the same for every picture, file and provider.
_QUOTED = re.compile(r"(?<![*\w])\*([^*\n]+)\*(?![*\w])")
_LEAST = 8


@lru_cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    return re.sub(r"`[^`\n]*`", lambda code: "`" * 2, _FENCE.sub("", text(path)))


@lru_cache
def anchors(path: Path) -> frozenset[str]:
    """As GitHub makes them of headings."""
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} (.+)$", _FENCE.sub("", text(path)), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        again = sum(1 for other in found if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other))
        found.append(f"{slug}-{again}" if again else slug)
    return frozenset(found)


def dead_links(path: Path) -> list[str]:
    dead = []
    for link in _LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        lost = (
            bool(anchor) and file.suffix == ".md" and file.exists() and anchor not in anchors(file)
        )
        if lost or not file.exists():
            dead.append(link)
    return dead


@page
def test_no_link_is_dead(path: Path) -> None:
    assert dead_links(path) == []


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    here = tmp_path / "here.md"
    here.write_text(
        "# One *two*: `three`\n[a](#one-two-three) [b](#nine) [c](gone.md) [d](here.md)"
    )
    assert dead_links(here) == ["#nine", "gone.md"]


@page
def test_addresses_are_https(path: Path) -> None:
    assert re.findall(r"\]\((http://[^)]*)\)", prose(path)) == []


@pytest.mark.parametrize("path", handbook.pages(), ids=lambda path: path.name)
def test_what_is_made_of_the_code_is_up_to_date(path: Path) -> None:
    assert handbook.renewed(text(path)) == text(path), "run: python scripts/make_docs.py"


def test_every_block_stands_once() -> None:
    made = re.compile(r"<!-- made: ([\w.-]+) -->")
    used = [name for path in PAGES for name in made.findall(_FENCE.sub("", text(path)))]
    assert sorted(used) == sorted(handbook.blocks())


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {
        (ROOT / link.partition("#")[0]).resolve()
        for link in _LINK.findall(prose(ROOT / "README.md"))
    }
    assert {path for path in DOCS.glob("*.md") if path not in linked} == set()


@pytest.mark.parametrize("spec", BACKENDS.values(), ids=lambda spec: spec.id)
def test_every_option_of_a_backend(spec) -> None:
    section = re.search(
        rf"^### {spec.provider}$(.*?)(?=^##|\Z)",
        text(DOCS / "backends.md"),
        re.MULTILINE | re.DOTALL,
    )
    assert section is not None
    assert f"`{spec.id}`" in section[1]
    for option in spec.options:
        (line,) = [row for row in section[1].splitlines() if row.startswith(f"| `{option.name}`")]
        assert all(choice in line for choice in option.choices)


@pytest.mark.parametrize("node_id", handbook.NODES)
def test_every_input_and_output_of_a_node_is_explained(node_id: str) -> None:
    node = handbook.schema()[node_id]
    assert f"## {node.display_name}" in text(DOCS / "nodes.md")  # type: ignore[attr-defined]
    for item in (*node.inputs, *node.outputs):  # type: ignore[attr-defined]
        assert len(str(item.settings.get("tooltip", ""))) > 10, item.id


def test_every_command_and_argument() -> None:
    said = text(DOCS / "cli.md")
    for name, words, parser in handbook.parsers():
        assert f"`{name}`" in said
        assert words
        for written, told in handbook.arguments(parser):
            assert f"| {written.replace('|', chr(92) + '|')} |" in said
            assert told


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable(variable: str) -> None:
    assert f"\n| `{variable}` | " in text(DOCS / "backends.md")


@pytest.mark.parametrize("row", LICENCES.values(), ids=lambda row: row.id)
def test_every_licence(row) -> None:
    assert row.attribution in text(DOCS / "licences.md")
    assert not row.grant_variable or f"`{row.grant_variable}`" in text(DOCS / "licences.md")


def test_every_public_name() -> None:
    said = text(DOCS / "python.md") + text(DOCS / "troubleshooting.md")
    assert [name for name in rmbg_nodes.__all__ if name not in said and name != "__version__"] == []


def test_every_error_has_its_section() -> None:
    families = {errors.RmbgError, errors.Refusal, errors.PictureError}
    classes = {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.RmbgError) and value not in families
    }
    sections = set(re.findall(r"^### ([A-Z]\w+)$", text(DOCS / "troubleshooting.md"), re.MULTILINE))
    assert sections == classes


@lru_cache
def spoken() -> str:
    """Every text in our own code, in one line."""
    outside = ("tests", "bench", "build", "docs", "scripts", "typings")
    files = [
        path
        for path in ROOT.rglob("*.py")
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
        and path.relative_to(ROOT).parts[0] not in outside
    ]
    texts = [
        node.value
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return " \n ".join(" ".join(one.split()) for one in texts)


def quoted(section: str) -> list[str]:
    """The fixed parts of the sentences in italics that a section's tables quote."""
    first_cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    parts = [
        part for cell in first_cells for said in _QUOTED.findall(cell) for part in said.split("...")
    ]
    return [stripped for part in parts if len(stripped := part.strip(" .:;()?,")) >= _LEAST]


def test_our_messages_are_quoted_as_they_are() -> None:
    ours = text(DOCS / "troubleshooting.md").partition("## ComfyUI's messages")[0]
    parts = quoted(ours)
    assert len(parts) > 60
    assert [part for part in parts if part not in spoken()] == []


def test_support_is_in_step_with_what_is_verified() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text(DOCS / "verified.md").splitlines()
        if line.startswith("| ")
    ]
    states = {cells[0]: cells[1] for cells in rows}
    lines = re.findall(
        r"^\| (.+) \| (tried|expected|unknown) \| (.+) \|$", text(DOCS / "support.md"), re.M
    )
    assert len(lines) > 20
    for what, state, claim in lines:
        found = [states[known] for known in states if known.startswith(claim)]
        assert found or (claim == "-" and state != "tried"), f"{what}: no row begins with {claim}"
        if state == "tried":
            assert any(told.startswith("run") for told in found), what
        elif found and not any("static" in told or "loopback" in told for told in found):
            assert all("never seen" in told for told in found), f"{what}: it was run"


def test_the_readme_stays_short() -> None:
    assert len(text(ROOT / "README.md").splitlines()) < 120


# What each command reads and writes, by the names of its arguments.
_READS = {
    "remove": ("inputs",),
    "batch": ("sources", "recipe"),
    "mask": ("image", "mask", "keep", "drop"),
    "composite": ("foreground", "background", "mask"),
    "evaluate": ("prediction", "truth"),
    "inspect": ("file",),
    "review": ("results",),
}
_MAKES = {"remove": ("output", "mask"), "demo": ("output",)}
_CODE = re.compile(r"```.*?\n(.*?)```|`((?:rmbg|python rmbg-nodes) [\w-]+ [^`-][^`]*)`", re.DOTALL)


def commands(page: str) -> Iterator[list[str]]:
    """The words behind `rmbg` of every line that can be typed as it stands, in their order."""
    for fence, inline in _CODE.findall(page):
        for line in (fence or inline).splitlines():
            if "..." in line or not line.startswith(("rmbg ", "python rmbg-nodes ")):
                continue
            for one in line.partition(" #")[0].split(";"):
                yield shlex.split(one.strip().removeprefix("python "))[1:]


def unmade(page: str) -> list[str]:
    """Files that a command of the page reads, that no earlier one makes, and of which no sentence
    says that they are the reader's own. Words in capitals stand for a file."""
    parsers = {name.removeprefix("rmbg "): parser for name, _, parser in handbook.parsers()}
    sentences = re.split(r"(?<=[.:])\s|\n[|\n]", page)
    owned = " ".join(one for one in sentences if re.search(r"\b(your|yours|own)\b", one, re.I))
    made: set[str] = set()
    found = []
    for command, *words in commands(page):
        if command not in {*_READS, *_MAKES}:
            continue
        typed = vars(parsers[command].parse_args(words))
        for named in _paths(typed, _READS.get(command, ())):
            top = named.split("/")[0] or named  # of an absolute path, all of it
            stated = re.search(rf"`{re.escape(top)}/?`", owned)
            if not (named.isupper() or {named, top} & made or stated):
                found.append(named)
        made |= {named.rstrip("/") for named in _paths(typed, _MAKES.get(command, ("output",)))}
    return found


def _paths(typed: dict[str, object], arguments: tuple[str, ...]) -> list[str]:
    given = [typed.get(name) for name in arguments]
    several = [one for value in given for one in (value if isinstance(value, list) else [value])]
    return [str(one) for one in several if one is not None]


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name
)
def test_what_a_command_reads_was_made_or_is_the_readers(path: Path) -> None:
    assert unmade(text(path)) == []


def test_a_file_that_nothing_makes_would_be_found() -> None:
    page = "Your folder `mine`.\n```sh\nrmbg remove {} -o cut/\nrmbg composite {} -o x.png\n```"
    assert unmade(page.format("mine", "cut/a.png")) == []
    assert unmade(page.format("shoe.jpg", "cat/a.png")) == ["shoe.jpg", "cat/a.png"]


@pytest.mark.whole
def test_the_quick_start_works_as_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the commands those in the two blocks, one after the other, and then the Python."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    page = text(DOCS / "quickstart.md")
    own = "shoes/"
    typed = [words for words in commands(page) if own not in words and "-o" in words]
    assert len(typed) >= 6
    for words in typed:
        output = words[words.index("-o") + 1]
        if words[0] != "demo" or not Path(output).exists():
            assert main(words) == 0, words
        assert Path(output).exists(), words
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "quickstart.py").write_text(python, encoding="utf-8")
    runpy.run_path("quickstart.py")
