"""The walks of CONTRIBUTING.md, taken from their pages in a copy of the checkout.

An outsider adds a model, a provider, a node with the edits and commands of a page and nothing else.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from rmbg_nodes.tests.support import walks

each_walk = pytest.mark.parametrize("page", walks.PAGES)


@each_walk
def test_every_edit_has_its_place(page: str, tmp_path: Path) -> None:
    """The text of the page against the files of today; nothing is run."""
    edits = [edit for step in walks.steps(page) for edit in step.edits]
    assert len(edits) > 5
    for path in {edit.path for edit in edits if (walks.ROOT / edit.path).exists()}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((walks.ROOT / path).read_bytes())
    for edit in edits:
        edit.apply(tmp_path)
    for path in {edit.path for edit in edits if edit.path.endswith(".py")}:
        ast.parse((tmp_path / path).read_text(encoding="utf-8"))


@each_walk
def test_the_files_are_listed_first(page: str) -> None:
    text = (walks.ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    listed = text[text.index("**Files, in order**") : text.index("### 1.")]
    for edit in (edit for step in walks.steps(page) for edit in step.edits):
        every_language = re.sub(r"(?<=locales/)(zh|ja)", "{zh,ja}", edit.path)
        english = re.sub(r"(?<=[a-zA-Z])/(zh|ja)(?=\.md$)", "", edit.path)
        names = {edit.path, Path(edit.path).name, every_language, english}
        assert any(f"`{name}`" in listed for name in names), edit.path


def test_an_edit_without_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = (\n    1,\n    1,\n)\ny = 2\n")
    for where, anchor in (("after", "1,"), ("before", "2,"), ("instead of", "z"), ("new file", "")):
        with pytest.raises(AssertionError, match=r"a\.py"):
            walks.Edit("a.py", where, anchor, "").apply(tmp_path)
    (tmp_path / "b.py").write_text("x = (\n    1,\n    2,\n)\ny = 2\n")
    walks.Edit("b.py", "behind the row with", "1,", "z = 3\n").apply(tmp_path)
    assert (tmp_path / "b.py").read_text() == "x = (\n    1,\n    2,\n)\nz = 3\ny = 2\n"


@pytest.mark.whole
@each_walk
def test_the_walk_arrives(page: str, tmp_path: Path) -> None:
    """Every command of the page succeeds, in its place, and lint and format have nothing to say."""
    root = walks.copied(tmp_path / "rmbg-nodes")
    for step in walks.steps(page):
        for edit in step.edits:
            edit.apply(root)
        for command in step.commands:
            _expect_success(command, root)
    for command in ("python -m ruff check .", "python -m ruff format --check ."):
        _expect_success(command, root)
    backends = {"add-a-model": "local/shoes", "add-a-provider": "acme/rmbg-2.0"}
    assert backends.get(page, "") in _expect_success("rmbg backends", root)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("page", "missing"),
    [
        (page, number)
        for page in walks.PAGES
        for number, step in enumerate(walks.steps(page))
        if step.left_out
    ],
)
def test_a_step_that_is_left_out_is_named(page: str, missing: int, tmp_path: Path) -> None:
    root = walks.copied(tmp_path / "rmbg-nodes")
    taken = walks.steps(page)
    for number, step in enumerate(taken):
        if number != missing:
            for edit in step.edits:
                edit.apply(root)
    said = taken[missing].left_out
    assert said is not None
    command, words = said
    result = walks.run(command, root)
    assert result.returncode != 0
    assert words in " ".join((result.stdout + result.stderr).split())


def _expect_success(command: str, root: Path) -> str:
    result = walks.run(command, root)
    assert result.returncode == 0, f"{command}\n{result.stdout[-4000:]}{result.stderr[-2000:]}"
    return result.stdout
