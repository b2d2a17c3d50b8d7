"""The command line, on real files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.demo.scenes import render

KEYER = ["--backend", "keyer"]


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A product shot on a plain backdrop."""
    return picture(tmp_path / "shot.png")


def picture(path: Path, seed: int = 3) -> Path:
    scene = render("soft", seed, (160, 200), backdrop="studio")
    levels = (scene.image * 255).round().astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path, quality=95)
    return path


def noise(path: Path) -> Path:
    levels = np.random.default_rng(1).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(levels).save(path)
    return path


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_default_is_rgba_png_in_a_folder(shot: Path, tmp_path: Path) -> None:
    assert main(["remove", str(shot), "-o", str(tmp_path / "out"), *KEYER]) == 0
    cut = opened(tmp_path / "out" / "shot.png")
    assert cut.shape == (160, 200, 4)
    solid = cut[..., 3] == 255
    assert solid.any()
    assert (cut[..., 3] == 0).any()
    np.testing.assert_array_equal(cut[..., :3][solid], opened(shot)[solid])


def test_one_input_and_a_picture_suffix_is_a_file(shot: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "cut.webp"
    assert main(["remove", str(shot), "-o", str(out), *KEYER]) == 0
    assert opened(out).shape == (160, 200, 4)


def test_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.webp"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    assert main(["remove", str(tmp_path / "in"), "-o", str(tmp_path / "x"), *KEYER]) == 0
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["a.png", "b.png", "c.png"]
    pattern = str(tmp_path / "in" / "*.jp*")
    assert main(["remove", pattern, "-o", str(tmp_path / "y"), *KEYER]) == 0
    assert [p.name for p in (tmp_path / "y").iterdir()] == ["b.png"]


def test_a_colour_behind_and_jpeg(shot: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut.jpg"
    assert main(["remove", str(shot), "-o", str(out), *KEYER, "--background", "white"]) == 0
    assert opened(out)[0, 0].tolist() == [255, 255, 255]


def test_transparency_in_a_jpeg_is_refused_before_anything(shot: Path, tmp_path, capsys) -> None:
    assert main(["remove", str(shot), "-o", str(tmp_path / "cut.jpg"), *KEYER]) == 2
    assert "--background" in capsys.readouterr().err


def test_the_mask_too_and_the_mask_only(shot: Path, tmp_path: Path) -> None:
    arguments = ["remove", str(shot), "-o", str(tmp_path / "cut.png"), *KEYER]
    assert main([*arguments, "--mask", str(tmp_path / "m.png")]) == 0
    mask = opened(tmp_path / "m.png")
    np.testing.assert_array_equal(mask, opened(tmp_path / "cut.png")[..., 3])
    assert main(["remove", str(shot), "-o", str(tmp_path / "only.png"), *KEYER, "--only-mask"]) == 0
    np.testing.assert_array_equal(opened(tmp_path / "only.png"), mask)
    folder = str(tmp_path / "both")
    assert main(["remove", str(shot), "-o", folder, "--mask", folder, *KEYER]) == 0
    assert sorted(p.name for p in Path(folder).iterdir()) == ["shot-mask.png", "shot.png"]


def test_one_bad_file_never_stops_the_others(shot: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut-off.png").write_bytes(shot.read_bytes()[:900])
    (tmp_path / "text.jpg").write_text("hello")
    noise(tmp_path / "noise.png")
    names = ["empty.png", "cut-off.png", "text.jpg", "noise.png"]
    inputs = [str(tmp_path / name) for name in names]
    out = tmp_path / "out"
    assert main(["remove", *inputs, str(shot), "-o", str(out), *KEYER]) == 1
    assert [p.name for p in out.iterdir()] == ["shot.png"]
    lines = capsys.readouterr().err.splitlines()
    for name in names:
        (line,) = [line for line in lines if name in line]
        assert len(line) < 400
    assert "Traceback" not in "".join(lines)


def test_too_many_megapixels(shot: Path, tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "o.png")
    assert main(["remove", str(shot), "-o", out, *KEYER, "--max-megapixels", "0.01"]) == 1
    assert "shot.png" in capsys.readouterr().err
    assert not Path(out).exists()


def test_an_input_is_never_overwritten(shot: Path, capsys) -> None:
    before = shot.read_bytes()
    assert main(["remove", str(shot), "-o", str(shot), *KEYER]) == 2
    assert main(["remove", str(shot), "-o", str(shot.parent), *KEYER]) == 0
    assert main(["composite", str(shot), "-o", str(shot)]) == 2
    assert shot.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="a file cannot stand in for a folder there")
def test_an_output_that_cannot_be_written(shot: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["remove", str(shot), "-o", str(tmp_path / "file" / "x.png"), *KEYER]) == 2
    assert "choose another place" in capsys.readouterr().err
    assert list(tmp_path.glob("**/.rmbg-*")) == []


def test_json_is_one_object_a_picture(shot: Path, tmp_path: Path, capsys) -> None:
    bad = noise(tmp_path / "noise.png")
    out = str(tmp_path / "out")
    assert main(["remove", str(shot), str(bad), "-o", out, *KEYER, "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["error"] is None for row in rows] == [True, False]
    assert rows[0]["report"]["backend"] == "keyer"
    assert rows[0]["report"]["cost"] == "0"
    assert Path(rows[0]["output"]).exists()
    assert rows[1]["output"] is None


def test_a_dry_run_does_nothing_and_names_the_price(
    shot: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("BRIA_API_TOKEN", "k" * 20)
    out = tmp_path / "out"
    assert main(["remove", str(shot), "-o", str(out), "--backend", "bria", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "0.018 USD" in said
    assert str(out / "shot.png") in said
    assert not out.exists()


def run(*arguments: str, stdin: bytes = b"", **variables: str):
    root = Path(__file__).resolve().parent.parent
    return subprocess.run(
        [sys.executable, str(root), *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **variables},
        check=False,
    )


def test_standard_input_to_standard_output(shot: Path) -> None:
    result = run("remove", "-", "-o", "-", *KEYER, stdin=shot.read_bytes())
    assert result.returncode == 0, result.stderr
    assert Image.open(io.BytesIO(result.stdout)).mode == "RGBA"
    result = run("remove", "-", "-o", "-", *KEYER, stdin=b"no picture")
    assert result.returncode == 1
    assert result.stdout == b""


def test_commercial_use_of_local_weights_is_refused(shot: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.png"
    result = run(
        "remove", str(shot), "-o", str(out), "--backend", "local/rmbg-2.0", RMBG_USAGE="commercial"
    )
    assert result.returncode == 2
    assert b"CC BY-NC 4.0" in result.stderr
    assert not out.exists()


def test_offline_refuses_a_hosted_backend(shot: Path, tmp_path: Path) -> None:
    result = run("remove", str(shot), "-o", str(tmp_path), "--backend", "fal", RMBG_OFFLINE="1")
    assert result.returncode == 2
    assert b"offline" in result.stderr


def test_the_pinned_backend_wins(shot: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.png"
    result = run("remove", str(shot), "-o", str(out), "--backend", "bria", RMBG_BACKEND="keyer")
    assert result.returncode == 0, result.stderr
    assert out.exists()


@pytest.mark.parametrize("bad", ["nobody", "keyer/other"])
def test_an_unknown_backend_lists_the_known(shot: Path, bad: str, capsys) -> None:
    assert main(["remove", str(shot), "--backend", bad]) == 2
    assert "local/rmbg-2.0" in capsys.readouterr().err


def test_options_reach_the_backend(tmp_path: Path, capsys) -> None:
    one = ["remove", str(noise(tmp_path / "noise.png")), "-o", str(tmp_path / "o.png")]
    local = ["--backend", "local/rmbg-1.4", "--option"]
    assert main([*one, *local, f"weights={tmp_path / 'mine.safetensors'}"]) == 2
    assert "mine.safetensors" in capsys.readouterr().err
    assert main([*one, *local, "precision=best"]) == 2
    assert "bfloat16" in capsys.readouterr().err
    assert main([*one, *KEYER, "--option", "mode=best"]) == 2
    assert "no option" in capsys.readouterr().err
    assert main([*one, *local, "precision"]) == 2


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    import torch

    from rmbg_nodes.pictures.read import read_picture
    from rmbg_nodes.pictures.write import encode, write_atomic

    scene = render("hard", 7, (96, 96), backdrop="studio")  # no green or blue screen
    deep = torch.from_numpy(scene.image) * 0.987 + 0.0031
    write_atomic(tmp_path / "deep.png", encode(deep, "png", depth=16))
    assert (
        main(["remove", str(tmp_path / "deep.png"), "-o", str(tmp_path / "cut.png"), *KEYER]) == 0
    )
    source = read_picture(tmp_path / "deep.png", name="deep")
    cut = read_picture(tmp_path / "cut.png", name="cut")
    assert cut.depth == 16
    assert cut.alpha is not None
    solid = cut.alpha == 1
    assert solid.any()
    assert torch.equal(cut.pixels[solid], source.pixels[solid])


def test_composite_on_white_and_on_a_picture(shot: Path, tmp_path: Path) -> None:
    cut = str(tmp_path / "cut.png")
    main(["remove", str(shot), "-o", cut, *KEYER])
    out = tmp_path / "white.png"
    assert main(["composite", cut, "-o", str(out), "--fit", "subject"]) == 0
    assert opened(out)[0, 0].tolist() == [255, 255, 255]
    behind = noise(tmp_path / "behind.png")
    out = tmp_path / "on.png"
    place = ["--fit", "contain", "--offset", "-5", "-7", "--shadow", "0.5"]
    assert main(["composite", cut, str(behind), "-o", str(out), *place]) == 0
    assert opened(out).shape == (80, 80, 3)


def test_lists(capsys) -> None:
    assert main(["backends"]) == 0
    assert "replicate/rmbg-2.0" in capsys.readouterr().out
    assert main(["backends", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= 7
    assert main(["licences"]) == 0
    said = capsys.readouterr().out
    assert "CC BY-NC 4.0" in said
    assert "https://go.bria.ai/3D5EGp0" in said
    assert main(["licences", "--attribution"]) == 0
    assert "BRIA RMBG-2.0 by BRIA AI" in capsys.readouterr().out


def test_help_names_every_command(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for command in ("remove", "composite", "backends", "licences", "demo"):
        assert command in said


@pytest.mark.whole
def test_the_demo_writes_what_it_says(tmp_path: Path, capsys) -> None:
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 0
    said = capsys.readouterr().out
    assert said.count("IoU 0.9") == 4
    assert "rmbg weights get birefnet" in said
    assert opened(tmp_path / "demo" / "contact-sheet.png").shape[1] > 1000
    for part in ("", "-cutout", "-mask", "-composite"):
        assert (tmp_path / "demo" / f"product-shot{part}.png").exists()


def test_no_mask_is_written_over_an_input(tmp_path: Path) -> None:
    hat = picture(tmp_path / "in" / "hat.jpg")
    taken = picture(tmp_path / "in" / "hat-mask.png", seed=4)
    before = taken.read_bytes()
    places = ["-o", str(tmp_path / "o"), "--mask", str(hat.parent)]
    assert main(["remove", str(hat), str(taken), *places, *KEYER]) == 0
    assert taken.read_bytes() == before
    assert (hat.parent / "hat-mask-2.png").exists()


def test_without_an_output_the_result_lies_beside_and_replaces_nothing(tmp_path: Path) -> None:
    first = picture(tmp_path / "a.jpg")
    assert main(["remove", str(first), *KEYER]) == 0
    assert opened(tmp_path / "a.png").shape[-1] == 4
    before = (tmp_path / "a.png").read_bytes()
    assert main(["remove", str(first), *KEYER]) == 0
    assert (tmp_path / "a.png").read_bytes() == before
    assert (tmp_path / "a-cutout.png").exists()


def test_a_suffix_that_is_not_written_is_no_folder(shot: Path, tmp_path: Path, capsys) -> None:
    assert main(["remove", str(shot), "-o", str(tmp_path / "y.bmp"), *KEYER]) == 2
    assert "PNG, JPEG, WebP or TIFF" in capsys.readouterr().err
    assert not (tmp_path / "y.bmp").exists()


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes only there")
def test_names_that_no_console_can_show(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("\udcff.png", "鞋.png", "b.png"):
        picture(tmp_path / "in" / name)
    folders = [str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    for extra in (["--json"], ["--dry-run"], ["--json", "--dry-run"]):
        result = run("remove", *folders, *KEYER, *extra, PYTHONIOENCODING="ascii")
        assert result.returncode == 0, result.stderr
        if "--json" in extra:
            assert len([json.loads(line) for line in result.stdout.splitlines()]) == 3


def test_a_dry_run_tells_bad_options_and_missing_files(shot: Path, capsys) -> None:
    assert main(["remove", str(shot), *KEYER, "--dry-run", "--option", "mode=x"]) == 2
    assert main(["remove", str(shot), "missing.png", *KEYER, "--dry-run"]) == 2
    assert "missing.png does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["nan", "0", "-3", "inf"])
def test_a_limit_that_is_none_is_refused(shot: Path, limit: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["remove", str(shot), *KEYER, "--max-megapixels", limit])


def test_folders_inside_folders_on_request(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "deep" / "a.png")
    picture(tmp_path / "in" / "b.png")
    arguments = ["remove", str(tmp_path / "in"), *KEYER, "-o"]
    assert main([*arguments, str(tmp_path / "flat")]) == 0
    assert main([*arguments, str(tmp_path / "all"), "-r"]) == 0
    assert [p.name for p in (tmp_path / "flat").iterdir()] == ["b.png"]
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == ["a.png", "b.png"]
