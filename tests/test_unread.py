"""Pictures of kinds that are not read are counted and named wherever folders and patterns are
given, and a run that finds nothing else is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.pictures.formats import UNREAD

RAW = "camera raw: develop it into a 16-bit TIFF or PNG first"
PHOTOSHOP = "Photoshop: open it in the program that made it, and export it as PNG or TIFF"
FOLDERS = {
    "only unread": ("a.CR2", "b.psd"),
    "unread, hidden and other": ("a.nef", ".hidden.png", "notes.txt"),
    "empty": (),
    "no pictures": ("notes.txt", "list.xls"),
    "unread below": ("more/a.svg",),
}


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """One picture that is read, and four that are not."""
    folder = fill(tmp_path / "shots", "a.CR2", "b.cr2", "more/c.psd", "d.svg", "notes.txt")
    photo(folder / "shoe.png")
    return folder


@pytest.fixture(params=["without the extra", "with it"])
def heif(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    there = request.param == "with it"
    monkeypatch.setitem(sys.modules, "pillow_heif", ModuleType("pillow_heif") if there else None)
    return there


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def photo(path: Path) -> Path:
    pixels = np.full((48, 64, 3), 255, np.uint8)
    pixels[14:34, 16:48] = (200, 30, 30)
    Image.fromarray(pixels).save(path)
    return path


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_remove_names_them_on_stderr_and_as_json(shots, capsys) -> None:
    assert main(["remove", "-r", str(shots), "--backend", "keyer", "--json"]) == 0
    said = capsys.readouterr()
    raw = f"{shots / 'a.CR2'}, {shots / 'b.cr2'} ({RAW})"
    assert f"4 pictures are of a kind that is not read: {raw}; " in said.err
    assert f"{shots / 'more' / 'c.psd'} ({PHOTOSHOP})" in said.err
    rows = [json.loads(line) for line in said.out.splitlines()]
    left = {Path(row["input"]).name: row["not_read"] for row in rows if "not_read" in row}
    assert left.keys() == {"a.CR2", "b.cr2", "c.psd", "d.svg"}
    assert left["b.cr2"] == RAW
    assert [row["error"] for row in rows if "error" in row] == [None]


def test_batch_counts_them_in_its_summary(shots, tmp_path, capsys) -> None:
    command = ["batch", str(shots), "-o", str(tmp_path / "out"), "--backend", "keyer"]
    for more, key in ((["--dry-run"], "to_do"), ([], "done_now"), (["--dry-run"], "done_before")):
        assert main([*command, "--json", *more]) == 0
        summary = json.loads(capsys.readouterr().out)
        assert (summary["pictures"], summary[key], summary["not_read"]) == (1, 1, 4)
        kinds = {kind["why"]: (kind["count"], kind["first"]) for kind in summary["not_read_kinds"]}
        assert kinds[RAW] == (2, ["a.CR2", "b.cr2"])
        assert kinds[PHOTOSHOP] == (1, ["more/c.psd"])
    assert main(command) == 0
    table = in_one_line(capsys.readouterr().out)
    assert "not read 4" in table
    assert f"2 x a.CR2, b.cr2 ({RAW})" in table
    assert main([*command, "--dry-run"]) == 0
    assert f"2 more are not read: a.CR2, b.cr2 ({RAW})" in capsys.readouterr().out
    assert not (tmp_path / "out" / ".rmbg" / "quarantine.jsonl").read_text()


@pytest.mark.parametrize("command", ["remove", "batch", "batch --dry-run"])
@pytest.mark.parametrize("pattern", ["", "/*", "/**/*"])
@pytest.mark.parametrize("holds", FOLDERS)
def test_nothing_that_is_read_is_refused(tmp_path, capsys, command, pattern, holds) -> None:
    source = fill(tmp_path / "shots", *FOLDERS[holds])
    dest = tmp_path / "out"
    name, *more = command.split()
    words = [name, f"{source}{pattern}", "-o", f"{dest}/", "--backend", "keyer", *more]
    assert main([*words, *(["-r"] if name == "remove" else [])]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert not dest.exists()
    for unread in FOLDERS[holds]:
        listed = Path(unread).suffix.lower() in {".cr2", ".nef", ".psd", ".svg"}
        reached = pattern != "/*" or "/" not in unread
        assert (unread in said.err) == (listed and reached)


def test_nothing_but_a_result_and_a_raw_file(shots, tmp_path, capsys) -> None:
    assert main(["remove", str(shots / "shoe.png"), "--backend", "keyer"]) == 0
    (shots / "shoe.png").unlink()
    capsys.readouterr()
    for command in ("remove", "batch"):
        words = [command, str(shots), "-o", str(tmp_path / "out"), "--backend", "keyer"]
        assert main(words) == 2
        said = capsys.readouterr().err
        assert "nothing to cut out" in said
        assert "a.CR2" in said
        assert "result" in said


def test_a_named_file_fails_and_is_no_refusal(shots, tmp_path, capsys) -> None:
    raw, out = str(shots / "a.CR2"), str(tmp_path / "out")
    assert main(["remove", str(shots), raw, "-o", out, "--backend", "keyer", "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (row,) = [row for row in rows if row["input"] == raw]
    assert "cannot be used" in row["error"]
    assert main(["batch", str(shots), raw, "-o", out, "--backend", "keyer", "--json"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["pictures"], summary["quarantined"], summary["not_read"]) == (2, 1, 3)


def test_heic_is_read_where_its_extra_is(heif, tmp_path, capsys) -> None:
    source = fill(tmp_path / "shots", "a.heic")
    photo(source / "b.png")
    command = ["batch", str(source), "-o", str(tmp_path / "out"), "--backend", "keyer"]
    assert main([*command, "--dry-run", "--json"]) == 0
    outlook = json.loads(capsys.readouterr().out)
    assert (outlook["pictures"], outlook["not_read"]) == ((2, 0) if heif else (1, 1))
    if not heif:
        assert '"rmbg-nodes[heif]"' in outlook["not_read_kinds"][0]["why"]
        (source / "b.png").unlink()
        assert main(command) == 2
        assert '"rmbg-nodes[heif]"' in capsys.readouterr().err


def test_what_was_quarantined_for_want_of_the_extra_is_taken_up_with_it(
    tmp_path, capsys, monkeypatch
) -> None:
    source = fill(tmp_path / "shots", "a.heic")
    photo(source / "b.png")
    command = ["batch", str(source), "-o", str(tmp_path / "out"), "--backend", "keyer", "--json"]
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert main(command) == 0
    monkeypatch.setitem(sys.modules, "pillow_heif", ModuleType("pillow_heif"))
    capsys.readouterr()
    assert main([*command, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["to_do"] == 1


def test_review_and_evaluate_name_them(shots, tmp_path, capsys) -> None:
    cut = np.zeros((40, 40, 4), np.uint8)
    cut[10:30, 10:30] = 255
    found, truth = fill(tmp_path / "p", "b.psd"), fill(tmp_path / "t", "c.svg")
    for place, name in ((found, "a.png"), (truth, "a.png"), (truth, "b.png")):
        Image.fromarray(cut).save(place / name)
    assert main(["review", str(found), "-o", str(tmp_path / "sheet.jpg"), "--json"]) == 0
    said = capsys.readouterr()
    assert f"1 picture is of a kind that is not read: {found / 'b.psd'} ({PHOTOSHOP})." in said.err
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert {"picture": str(found / "b.psd"), "not_read": PHOTOSHOP} in rows
    assert main(["evaluate", str(found), str(truth)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert f"b.png: {found / 'b.psd'} is not read ({PHOTOSHOP})." in lines
    assert any(line.startswith("c.svg: ") and "is not read (a drawing" in line for line in lines)


@pytest.mark.parametrize("command", ["review {} -o sheet.jpg", "evaluate {} {}"])
def test_review_and_evaluate_of_nothing_else(tmp_path, monkeypatch, capsys, command) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "p", "a.psd", "b.psd")
    assert main(command.format("p", "p").split()) == 2
    said = capsys.readouterr().err
    names = ", ".join(str(Path("p", name)) for name in ("a.psd", "b.psd"))
    assert f"p holds no picture files that are read, only {names} ({PHOTOSHOP})." in said


@pytest.mark.parametrize("name", ["a.NEF", "a.dng", "a.cr2"])
def test_the_preview_in_a_camera_raw_file_is_not_taken_for_it(tmp_path, capsys, name) -> None:
    photo(tmp_path / "a.tif").rename(tmp_path / name)
    assert main(["remove", str(tmp_path / name), "--backend", "keyer"]) == 1
    assert f"{name} cannot be used: pictures of its kind are not read ({RAW})." in (
        capsys.readouterr().err
    )
    (tmp_path / "list.csv").write_text(f"path\n{name}\n", encoding="utf-8")
    dest = tmp_path / "out"
    assert main(["batch", str(tmp_path / "list.csv"), "-o", str(dest), "--backend", "keyer"]) == 1
    assert RAW in (dest / ".rmbg" / "quarantine.jsonl").read_text(encoding="utf-8")


def test_a_named_photograph_with_a_strange_name_is_read(tmp_path) -> None:
    photo(tmp_path / "a.jpg").rename(tmp_path / "a.raw")
    assert main(["remove", str(tmp_path / "a.raw"), "--backend", "keyer"]) == 0


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize("text", ["path\n", "path,output\n\n\n"])
def test_a_manifest_without_rows_is_refused(tmp_path, capsys, text, more) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    command = ["batch", str(tmp_path / "list.csv"), "-o", str(tmp_path / "out"), *more]
    assert main([*command, "--backend", "keyer"]) == 2
    assert "list.csv lists no pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("row", UNREAD, ids=lambda row: row.label)
def test_every_kind_is_named(row, tmp_path, capsys) -> None:
    names = [f"x{number}{suffix}" for number, suffix in enumerate(row.suffixes)]
    source = fill(tmp_path / "shots", *names)
    command = ["batch", str(source), "-o", str(tmp_path / "out"), "--backend", "keyer"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert row.label in said
    count = len(names)
    assert (f"{count} pictures are" if count > 1 else "1 picture is") in said
