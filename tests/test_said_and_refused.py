"""What the commands say of doubtful results, and what a refused run costs and leaves: nothing."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.core.report import KINDS

KEYER = ("--backend", "keyer")
Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of one's own, and no key."""
    for name in ("FAL_KEY", "BRIA_API_TOKEN", "BRIA_API_KEY", "REPLICATE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    folder = tmp_path / "data"
    monkeypatch.setenv("RMBG_DATA", str(folder))
    return folder


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A subject, one that the border cuts off, and a picture of nothing."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows, columns = np.mgrid[:96, :96]
    edge = np.clip(np.hypot(rows - 48, columns - 48) - 28, 0, 1)[..., None]
    levels = (edge * (200, 200, 200) + (1 - edge) * (30, 60, 150)).astype(np.uint8)
    Image.fromarray(levels).save(folder / "whole.png")
    Image.fromarray(levels[:48]).save(folder / "cut-off.png")
    Image.new("RGB", (64, 64), (200, 200, 200)).save(folder / "nothing.png")
    return folder


def receipts(data: Path) -> int:
    file = data / "records" / "records.sqlite"
    if not file.exists():
        return 0
    connection = sqlite3.connect(file)
    (count,) = connection.execute("SELECT count(*) FROM receipts").fetchone()
    connection.close()
    return int(count)


def test_every_warning_is_told_once_and_an_empty_result_is_no_success(
    shots: Path, tmp_path: Path, capsys: Said
) -> None:
    out = tmp_path / "out"
    arguments = ["remove", str(shots), "-o", f"{out}/", *KEYER]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.err.count("nothing.png: Warning: no subject found.") == 1
    assert said.err.count("cut-off.png: Warning: the subject touches the picture's border") == 1
    assert "whole.png: Warning" not in said.err
    assert "--allow-empty" in said.err
    assert (out / "nothing.png").exists()
    assert main([*arguments, "--allow-empty"]) == 0
    assert "nothing.png: Warning: no subject found." in capsys.readouterr().err


def test_what_was_written_is_told_on_stderr(shots: Path, tmp_path: Path, capsys: Said) -> None:
    out = tmp_path / "out" / "cut.png"
    assert main(["remove", str(shots / "whole.png"), "-o", str(out), *KEYER]) == 0
    said = capsys.readouterr()
    size = f"{out.stat().st_size:,} bytes"
    assert f"whole.png -> {out} (96 x 96, {size})" in said.err
    assert said.out == ""


def test_the_json_of_a_picture_names_the_kinds(shots: Path, tmp_path: Path, capsys: Said) -> None:
    arguments = ["remove", str(shots), "-o", f"{tmp_path}/out/", *KEYER, "--json", "--allow-empty"]
    assert main(arguments) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = {Path(row["input"]).stem: row["report"]["warning_kinds"] for row in rows}
    assert kinds == {"whole": [], "cut-off": ["touches-border"], "nothing": ["no-subject"]}
    assert all(
        len(row["report"]["warnings"]) == len(kinds[Path(row["input"]).stem]) for row in rows
    )


def test_a_receipt_that_is_not_kept_is_told(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "file"))
    assert main(["remove", str(shots / "whole.png"), "-o", str(tmp_path / "x.png"), *KEYER]) == 0
    assert capsys.readouterr().err.count("whole.png: Warning: no receipt was kept") == 1
    assert (
        main(["batch", str(shots / "whole.png"), "-o", str(tmp_path / "o"), *KEYER, "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["warnings"] == {"no-receipt": 1}


def test_a_remark_on_the_file_reaches_the_user(shots: Path, tmp_path: Path, capsys: Said) -> None:
    frames = [Image.open(shots / name).convert("P") for name in ("whole.png", "nothing.png")]
    frames[0].save(shots / "two.gif", save_all=True, append_images=frames[1:])
    assert main(["remove", str(shots / "two.gif"), "-o", str(tmp_path / "x.png"), *KEYER]) == 0
    assert "two.gif: Warning: it holds 2 pictures" in capsys.readouterr().err
    assert main(["batch", str(shots / "two.gif"), "-o", str(tmp_path / "o"), *KEYER, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"]["file"] == 1
    moved = [
        "mask",
        str(shots / "two.gif"),
        str(shots / "whole.png"),
        "-o",
        str(tmp_path / "m.png"),
    ]
    assert main(moved) == 0
    assert "two.gif: Warning: it holds 2 pictures" in capsys.readouterr().err


def test_a_batch_ends_with_a_count_of_each_kind(shots: Path, tmp_path: Path, capsys: Said) -> None:
    Image.open(shots / "cut-off.png").save(shots / "again.png")
    out = tmp_path / "out"
    recipe = tmp_path / "large.toml"
    recipe.write_text('[canvas]\nbackground = "white"\nsize = [600, 600]\nfit = "subject"\n')
    arguments = ["batch", str(shots), "-o", str(out), *KEYER, "--recipe", str(recipe)]
    assert main(arguments) == 1
    table = capsys.readouterr().out
    assert f"warnings     2 x {KINDS['touches-border']}" in table
    assert f"warnings     3 x {KINDS['enlarged']}" in table
    assert f"warnings     1 x {KINDS['no-subject']}" in table
    kept = json.loads((out / ".rmbg" / "summary.json").read_text())["warnings"]
    assert kept == {"touches-border": 2, "enlarged": 3, "no-subject": 1}
    assert set(kept) <= set(KINDS)


@pytest.mark.parametrize("command", ["mask", "composite"])
def test_an_empty_result_of_the_other_commands(
    shots: Path, tmp_path: Path, command: str, capsys: Said
) -> None:
    Image.new("L", (96, 96)).save(tmp_path / "black.png")
    black, whole = str(tmp_path / "black.png"), str(shots / "whole.png")
    words = {"mask": [whole, black], "composite": [whole, "--mask", black]}[command]
    out = tmp_path / "out.png"
    arguments = [command, *words, "-o", str(out)]
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"{out}: Warning: ")
    assert out.exists()
    assert main([*arguments, "--allow-empty"]) == 0


REFUSALS: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "licence": (("--usage", "commercial"), {}, "licence"),
    "weights": ((), {}, "weights of RMBG-2.0 were not found"),
    "own weights": (("--option", "weights=none.pth"), {}, "none.pth"),
    "key": (("--backend", "fal"), {}, "FAL_KEY"),
    "offline": (("--backend", "fal"), {"FAL_KEY": "k" * 20, "RMBG_OFFLINE": "1"}, "offline"),
    "budget": (("--backend", "fal", "--max-cost", "0.01"), {"FAL_KEY": "k" * 20}, "0.01"),
    "budget of the day": (
        ("--backend", "fal"),
        {"FAL_KEY": "k" * 20, "RMBG_BUDGET_USD": "0.01/day"},
        "0.01",
    ),
    "option": (("--backend", "keyer", "--option", "mode=best"), {}, "mode"),
    "backend": (("--backend", "nobody"), {}, "nobody"),
}
of_refusals = pytest.mark.parametrize("case", REFUSALS)


@of_refusals
@pytest.mark.parametrize("command", ["remove", "batch"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_a_refused_run_is_2_and_leaves_nothing(
    shots: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Said,
    data: Path,
    command: str,
    case: str,
    dry: tuple[str, ...],
) -> None:
    more, environment, words = REFUSALS[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "shop" / "out"
    assert main([command, str(shots), "-o", f"{out}/", *more, *dry]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert not out.parent.exists()
    assert receipts(data) == 0


@pytest.mark.parametrize("more", [("--format", "jpeg"), ("--recipe", "none.toml"),
                                  ("--naming", "{colour}{suffix}")])  # fmt: skip
def test_a_bad_recipe_leaves_nothing(shots: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    out = tmp_path / "shop" / "out"
    assert main(["batch", str(shots), "-o", str(out), *KEYER, *more]) == 2
    assert not out.parent.exists()


def test_a_refused_run_keeps_what_an_earlier_one_made(shots: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one = ["batch", str(shots / "whole.png"), "-o", str(out)]
    assert main([*one, *KEYER]) == 0
    files = sorted(path.name for path in out.rglob("*") if path.name != "summary.json")
    assert main([*one, "--backend", "fal"]) == 2
    assert {path.name for path in out.rglob("*")} >= set(files)
    assert main([*one, *KEYER]) == 0


def test_a_folder_that_was_there_stays(shots: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert main(["batch", str(shots), "-o", str(out), "--backend", "fal"]) == 2
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("command", ["remove", "batch"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_a_path_to_nothing_is_refused_before_anything(
    shots: Path, tmp_path: Path, capsys: Said, data: Path, command: str, dry: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    named = [str(shots / "whole.png"), str(tmp_path / "shoo.png")]
    assert main([command, *named, "-o", f"{out}/", *KEYER, *dry]) == 2
    assert "shoo.png does not exist" in capsys.readouterr().err
    assert not out.exists()
    assert receipts(data) == 0


@pytest.mark.parametrize("command", ["remove", "batch"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize("case", ["licence", "weights", "key", "offline"])
def test_what_the_whole_run_lacks_is_said_before_a_missing_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Said,
    command: str,
    dry: tuple[str, ...],
    case: str,
) -> None:
    more, environment, words = REFUSALS[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    missing = str(tmp_path / "shoo.png")
    assert main([command, missing, "-o", f"{tmp_path}/out/", *more, *dry]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "shoo.png" not in said


def test_a_row_to_nothing_fails_alone_and_leaves_no_receipt(
    shots: Path, tmp_path: Path, data: Path
) -> None:
    (shots / "broken.png").write_bytes(b"no picture")
    (tmp_path / "list.csv").write_text(
        f"path\nin/whole.png\nin/none.png\nin/whole.png/none.png\nin/{'x' * 300}.png\n"
        "in/broken.png\n"
    )
    out = tmp_path / "out"
    assert main(["batch", str(tmp_path / "list.csv"), "-o", str(out), *KEYER]) == 1
    assert [path.name for path in out.rglob("*.png")] == ["whole.png"]
    assert receipts(data) == 2  # of the picture, and of the file that is none


def test_an_empty_folder_beside_pictures_leaves_no_receipt(
    shots: Path, tmp_path: Path, data: Path
) -> None:
    (tmp_path / "empty").mkdir()
    named = [str(shots / "whole.png"), str(tmp_path / "empty")]
    assert main(["remove", *named, "-o", f"{tmp_path}/out/", *KEYER]) == 1
    assert receipts(data) == 1


def test_a_dry_run_fetches_nothing_and_is_not_refused_for_it(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    arguments = ["remove", str(shots), "-o", f"{tmp_path}/out/", "--option", "download=true"]
    assert main([*arguments, "--dry-run"]) == 0
    monkeypatch.setenv("RMBG_OFFLINE", "1")
    assert main([*arguments, "--dry-run"]) == 2
    assert "RMBG_OFFLINE" in capsys.readouterr().err
