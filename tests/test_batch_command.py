"""`rmbg batch` as it is typed: what it says, what it writes, and its exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.demo.scenes import render

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Two product pictures on a plain backdrop, one of them in a folder of its own."""
    folder = tmp_path / "in"
    (folder / "shoes").mkdir(parents=True)
    levels = (render("soft", 1, (96, 96), backdrop="studio").image * 255).round().astype(np.uint8)
    Image.fromarray(levels).save(folder / "a.png")
    Image.fromarray(levels[:, ::-1]).save(folder / "shoes" / "b.jpg", quality=95)
    return folder


def batch(shots: Path, *more: str) -> int:
    return main(["batch", str(shots), "-o", str(shots.parent / "out"), "--backend", "keyer", *more])


def test_all_done_is_0_and_the_table_says_so(
    shots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(shots, "--mask") == 0
    out = shots.parent / "out"
    assert sorted(path.name for path in out.rglob("*.png")) == [
        "a-mask.png", "a.png", "b-mask.png", "b.png"
    ]  # fmt: skip
    table = capsys.readouterr().out
    assert "done now     2" in table
    assert "pictures a second" in table
    assert batch(shots, "--mask") == 0
    assert "done before  2" in capsys.readouterr().out


def test_some_failed_is_1_and_each_is_named(
    shots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shots / "bad.jpg").write_bytes(b"no picture")
    assert batch(shots, "--json") == 1
    said = capsys.readouterr()
    assert "bad.jpg cannot be used" in said.err
    summary = json.loads(said.out)
    assert (summary["done_now"], summary["quarantined"]) == (2, 1)
    assert summary["reasons"] == {"BadPicture": 1}


def test_refused_is_2_and_nothing_was_done(shots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["batch", str(shots), "-o", str(shots.parent / "out"), "--usage", "commercial"]
    assert main(arguments) == 2
    assert "licence" in capsys.readouterr().err
    assert batch(shots, "--format", "jpeg") == 2
    assert "JPEG has no transparency" in capsys.readouterr().err
    assert batch(shots, "--naming", "{colour}{suffix}") == 2
    assert "{colour}" in capsys.readouterr().err
    assert not [path for path in (shots.parent / "out").rglob("*.*") if path.suffix == ".png"]


def test_a_recipe_a_preset_and_the_command_line(
    shots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = shots.parent / "shop.toml"
    recipe.write_text('preset = "amazon"\n[output]\nnaming = "{stem}_main{suffix}"\n')
    assert batch(shots, "--recipe", str(recipe), "--quality", "80") == 0
    with Image.open(shots.parent / "out" / "b_main.jpg") as image:
        assert (image.size, image.mode) == ((2000, 2000), "RGB")
        assert image.getpixel((0, 0)) == (255, 255, 255)
    recipe.write_text('[canvas]\nsizes = [10, 10]\n[output]\nquality = "high"\n')
    assert batch(shots, "--recipe", str(recipe)) == 2
    said = capsys.readouterr().err
    assert "size" in said
    assert "quality" in said


def test_a_dry_run_counts_and_does_nothing(
    shots: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAL_KEY", "k" * 20)
    assert batch(shots, "--dry-run") == 0
    assert "2 pictures with keyer" in capsys.readouterr().out
    arguments = ["--backend", "fal", "--usage", "commercial", "--dry-run", "--json"]
    assert batch(shots, *arguments) == 0
    assert json.loads(capsys.readouterr().out)["cost_at_most"] == "0.036"
    assert not (shots.parent / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_stops_and_the_same_command_goes_on(shots: Path, tmp_path: Path) -> None:
    for number in range(40):
        (shots / f"{number:02}.png").write_bytes((shots / "a.png").read_bytes())
    out = tmp_path / "out"
    code = "import sys; from rmbg_nodes.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["batch", str(shots), "-o", str(out), "--backend", "keyer", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / ".typing"), "OMP_NUM_THREADS": "1"}
    if not (CHECKOUT / ".typing" / "rmbg_nodes").exists():
        pytest.skip("the package cannot be imported by its name here; run scripts/check first")
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while len(list(out.glob("*.png"))) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "stopped" in stderr
    assert "not begun" in stdout
    before = len(list(out.glob("*.png")))
    assert 3 <= before < 41
    assert main(arguments) == 0
    said = json.loads((out / ".rmbg" / "summary.json").read_text())
    assert said["done_before"] + said["done_now"] == 42
    assert said["done_before"] in (before - 1, before, before + 1)


def test_a_manifest_of_excel_with_an_empty_cell(
    shots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shots / "a.png").rename(shots / "köpfe.png")
    rows, out = "path;sku\r\nköpfe.png;A1\r\nshoes/b.jpg;{}\r\n", shots.parent / "out"
    file = shots / "list.csv"
    file.write_bytes(rows.format("").encode("cp1252"))
    asked = ["batch", str(file), "-o", str(out), "--backend", "keyer", "--naming", "{sku}{suffix}"]
    assert main(asked) == 2
    assert "list.csv, line 2: these bytes are no UTF-8." in capsys.readouterr().err
    asked += ["--encoding", "cp1252", "--json"]
    assert main([*asked, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["to_do"] == 2
    assert main(asked) == 1
    said = capsys.readouterr()
    assert "list.csv, line 3: the column sku is empty" in said.err
    summary = json.loads(said.out)
    assert (summary["done_now"], summary["failed"], summary["quarantined"]) == (1, 1, 0)
    file.write_bytes(rows.format("B2").encode("cp1252"))
    assert main(asked) == 0
    assert sorted(path.name for path in out.glob("*.png")) == ["A1.png", "B2.png"]
