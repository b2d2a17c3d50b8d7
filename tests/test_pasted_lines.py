"""Lines to be pasted carry what came from outside as one word, and no text steers the terminal."""

# Pins the inside of backends.local.find
# Pins the inside of config.invocation
# Pins the inside of hf.folder

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.backends.local.find import _said_of
from rmbg_nodes.cli import main
from rmbg_nodes.config.invocation import quoted
from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.core.types import Ticket
from rmbg_nodes.pipeline.context import open_user_records

WORK = "fal/rmbg-2.0:a-work"
HOSTILE = [
    *("$(touch ran)", "a b;touch ran", "it's`touch ran`", '"$(touch ran)"', "-x", "--help", "*"),
    *(
        "a\ntouch ran\n",
        "\x1b]0;title\x07",
        "\x9b31m'$(touch ran)'",
        "\u202ea\\",
    ),
]
bash = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("bash"), reason="pastes into bash"
)


@pytest.fixture(autouse=True)
def _own_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    monkeypatch.setenv("FAL_KEY", "x" * 20)


def open_job(request: str) -> None:
    journal = open_user_records().journal
    journal.sending(WORK, "fal/rmbg-2.0", None, (32, 24))
    journal.submitted(WORK, Ticket("fal/rmbg-2.0", request))
    journal.keep(WORK, "")


def pasted(line: str, folder: Path) -> list[str]:
    """The words that a shell makes of it; nothing in it is run."""
    folder.mkdir()
    shown = f"printf '%s\\0' {line}"
    result = subprocess.run(["bash", "-c", shown], cwd=folder, capture_output=True, check=True)
    assert list(folder.iterdir()) == []
    return os.fsdecode(result.stdout).split("\0")[:-1]


@bash
@pytest.mark.parametrize("request_id", HOSTILE)
def test_the_id_of_a_job_is_one_word_of_the_line(
    request_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_job(request_id)
    assert main(["pending"]) == 0
    out = capsys.readouterr().out
    line = re.search(r"Run the picture again, or `(.*)`; it is not paid again", out)
    assert line, out
    words = pasted(line[1], tmp_path / "shell")
    assert words[-1] == request_id
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    # The same words are what the command takes for an id: this one is waiting.
    assert main([*words[words.index("resume") : -1], f"{request_id}0"]) == 2
    assert "No paid job is waiting under" in capsys.readouterr().err


@bash
@pytest.mark.parametrize("name", ["$(touch ran)", "it's", "a\nb", "\x1b[31m"])
def test_the_path_of_weights_is_one_word(name: str, tmp_path: Path) -> None:
    file = tmp_path / name / "x.safetensors"
    option = re.search("`--option (.*)`\\)", _said_of({file: "0" * 64}), re.DOTALL)
    assert option
    assert pasted(option[1], tmp_path / "shell") == [f"weights={file}"]


@bash
def test_paths_of_a_conversion_are_two_words(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from rmbg_nodes.hf.folder import complete_folder

    file = tmp_path / "my $(touch ran)" / "own.safetensors"
    with pytest.raises(BadOption) as refused:
        complete_folder(file)
    line = str(refused.value).split("`")[1]
    words = pasted(line, tmp_path / "shell")
    assert words[-2:] == [str(file), str(file.with_name("model.safetensors"))]


@pytest.mark.parametrize(
    ("word", "line"),
    [
        *(("ok-1", "ok-1"), ("C:\\a b\\c.x", '"C:\\a b\\c.x"'), ("a&b", '"a&b"'), ("", '""')),
        *(('a"b', '"a\\"b"'), ("a b\\", '"a b\\\\"'), ("a\nb", '"a?b"'), ("$(x)", '"$(x)"')),
    ],
)
def test_on_windows_a_word_is_in_double_quotes(word: str, line: str) -> None:
    assert quoted(word, windows=True) == line


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_the_name_of_a_file_does_not_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "\x1b[2Ja\x9b31m\u202e\x07.png"
    Image.fromarray(np.full((24, 32, 3), 255, np.uint8)).save(source)
    (tmp_path / "\x1b[2Jbad\x7f.png").write_bytes(b"no picture")
    arguments = ["remove", *map(str, tmp_path.glob("*.png")), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--backend", "keyer"]) == 1
    told = "".join(capsys.readouterr())
    assert "\\u001b[2Jbad\\u007f.png" in told
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", told)
    main([*arguments, "--backend", "keyer", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(str(source) in row.values() for row in rows)
