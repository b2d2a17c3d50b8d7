"""The scripts of the nodes' page: they parse, they stay small, and every label is in every
language."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "web" / "js"
SCRIPTS = sorted(FOLDER.glob("*.js"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_parses(script: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not on this machine")
    module = tmp_path / f"{script.stem}.mjs"
    shutil.copy(script, module)
    result = subprocess.run(
        [node, "--check", str(module)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_scripts_stay_small() -> None:
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in SCRIPTS) < 900


def test_every_label_is_in_every_language_and_used() -> None:
    table = (FOLDER / "words.js").read_text(encoding="utf-8")
    languages = re.findall(r"^  (\w\w): \{\n(.*?)^  \},", table, re.MULTILINE | re.DOTALL)
    labels = {code: re.findall(r"^    (\w+):", body, re.MULTILINE) for code, body in languages}
    assert list(labels) == ["en", "zh", "ja"]
    assert labels["zh"] == labels["ja"] == labels["en"]
    texts = [path.read_text(encoding="utf-8") for path in SCRIPTS if path.stem != "words"]
    unused = [label for label in labels["en"] if not any(f'"{label}"' in text for text in texts)]
    assert unused == []
    asked = {label for text in texts for label in re.findall(r'say\("(\w+)"\)', text)}
    assert asked <= set(labels["en"])
