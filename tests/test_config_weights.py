"""Rows of the settings file that establish the licence of a user's own weights."""

# Pins the inside of backends.local.verify

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from rmbg_nodes.api import remove_background
from rmbg_nodes.backends.local.verify import digest
from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.catalogue.licences import LICENCES, OwnWeights, licence_of
from rmbg_nodes.cli import main
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.settings import Settings, read_settings
from rmbg_nodes.core.errors import BadOption, LicenceRefused, WeightsMissing
from rmbg_nodes.core.specs import OptionValue
from rmbg_nodes.pictures.metadata import metadata_of
from rmbg_nodes.pictures.provenance import read_provenance
from rmbg_nodes.pictures.write import encode
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.pipeline.gate import allow, allow_unopened, open_backend
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.comfy_standin import standing_in
from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet

SHA = "ab" * 32
MINE = OwnWeights(SHA, "our fine-tune", "MIT", "https://example.com/licence", commercial=True)
ROW = {
    "sha256": f'"{SHA.upper()}"',
    "name": '"our fine-tune"',
    "licence": '"MIT"',
    "source": '"https://example.com/licence"',
    "commercial": "true",
}


def table(**changes: str | None) -> str:
    lines = (f"{name} = {text}" for name, text in {**ROW, **changes}.items() if text is not None)
    return "\n".join(["[[weights]]", *lines, ""])


@pytest.fixture(autouse=True)
def _no_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On macOS the configuration folder is always below the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def file() -> Path:
    path = PlainHost().settings_path()
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    tensors = small_birefnet().float().state_dict().items()
    save_file({name: value.contiguous() for name, value in tensors}, path)
    return path


def test_a_row_opens_exactly_its_file_for_commercial_use(
    file: Path, weights: Path, tmp_path: Path
) -> None:
    options: dict[str, OptionValue] = {
        "weights": str(weights),
        "resolution": 256,
        "precision": "float32",
    }
    with pytest.raises(LicenceRefused, match=r"\[\[weights\]\] row of settings\.toml"):
        open_backend("local/birefnet", usage="commercial", options=options)
    file.write_text(table(sha256=f'"{digest(weights)}"'))
    backend = open_backend("local/birefnet", usage="commercial", options=options)
    _, _, reports = remove_background(disc_frame(0).pixels[None], backend, usage="commercial")
    (report,) = (report.data() for report in reports)
    assert report["usage"] == "commercial"
    ground = str(report["ground"])
    assert "MIT, by your settings for our fine-tune (https://example.com/licence)" in ground
    # Another file is not opened by it, nor is an opened one that the row was taken from.
    changed = load_file(weights)
    name = next(iter(changed))
    save_file({**changed, name: changed[name] + 1}, other := tmp_path / "other.safetensors")
    with pytest.raises(LicenceRefused):
        open_backend(
            "local/birefnet", usage="commercial", options={**options, "weights": str(other)}
        )
    file.write_text(table())
    with pytest.raises(LicenceRefused):
        remove_background(disc_frame(0).pixels[None], backend, usage="commercial")


@pytest.mark.parametrize("backend", ["local", "local/rmbg-2.0", "local/rmbg-1.4", "local/birefnet"])
def test_a_row_holds_for_its_file_under_every_id(
    file: Path, weights: Path, tmp_path: Path, backend: str
) -> None:
    options: dict[str, OptionValue] = {"weights": str(weights)}
    with pytest.raises(LicenceRefused, match=digest(weights)):  # to be copied into the row
        open_backend(backend, usage="commercial", options=options)
    file.write_text(table(sha256=f'"{digest(weights)}"'))
    opened = open_backend(backend, usage="commercial", options=options)
    assert opened.spec.weights_sha256 == digest(weights)
    assert "by your settings" in allow_unopened(backend, options, "commercial", read_settings())[1]
    file.write_text(table(sha256=f'"{digest(weights)}"', commercial="false"))
    with pytest.raises(LicenceRefused, match="commercial = true in its"):
        open_backend(backend, usage="commercial", options=options)
    # Without a file of one's own the row of the catalogue judges, before anything is looked for.
    if backend != "local/birefnet":
        with pytest.raises(LicenceRefused, match="for non-commercial use only"):
            open_backend(backend, usage="commercial")
    missing: dict[str, OptionValue] = {"weights": str(tmp_path / "none.safetensors")}
    with pytest.raises(WeightsMissing, match="There is no file"):
        open_backend(backend, usage="commercial", options=missing)


def test_a_row_may_say_that_its_training_data_is_restricted(file: Path, weights: Path) -> None:
    options: dict[str, OptionValue] = {"weights": str(weights)}
    file.write_text(table(sha256=f'"{digest(weights)}"', data_terms='"restricted"'))
    with pytest.raises(LicenceRefused, match="RMBG_ACCEPT_DATA_TERMS"):
        open_backend("local", usage="commercial", options=options)
    accepted = "accept_data_terms = true\n"
    file.write_text(accepted + table(sha256=f'"{digest(weights)}"', data_terms='"restricted"'))
    open_backend("local", usage="commercial", options=options)
    file.write_text(table(data_terms='"closed"'))
    with pytest.raises(BadOption, match="data_terms must be open, restricted, unknown"):
        read_settings()


def own_isnet(folder: Path) -> Path:
    path = folder / "isnet-mine.safetensors"
    tensors = small_isnet().float().state_dict().items()
    save_file({name: value.contiguous() for name, value in tensors}, path)
    return path


def test_files_and_receipts_name_the_network_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    mine, shot, out = own_isnet(tmp_path), tmp_path / "shot.png", tmp_path / "out.png"
    shot.write_bytes(encode(disc_frame(0).pixels, "png"))
    given = ["--backend", "local/birefnet", "--option", f"weights={mine}"]
    assert main(["remove", str(shot), "-o", str(out), *given, "--option", "resolution=256"]) == 0
    said = read_provenance(metadata_of(out.read_bytes()))
    assert said is not None
    assert (said.architecture, said.weights_sha256) == ("IS-Net", digest(mine))
    (receipt,) = (one.data() for one in open_user_records().receipts.each())
    assert receipt["architecture"] == "IS-Net"
    assert receipt["weights_sha256"] == digest(mine)
    assert "birefnet" not in json.dumps(receipt)
    assert b"birefnet" not in out.read_bytes()
    capfd.readouterr()
    assert main(["inspect", str(out)]) == 0
    told = capfd.readouterr().out
    assert f"network:          IS-Net\n  weights sha256:   {digest(mine)}" in told


def test_an_unknown_licence_is_one_line(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = own_isnet(tmp_path)
    open_backend("local/birefnet", options={"weights": str(mine)})
    (record,) = caplog.records
    line = record.getMessage()
    assert "\n" not in line
    for words in ("isnet-mine.safetensors", "not established", "[[weights]]", digest(mine)):
        assert words in line
    caplog.clear()
    file.write_text(table(sha256=f'"{digest(mine)}"'))
    open_backend("local/birefnet", options={"weights": str(mine)})
    open_backend("keyer")
    assert caplog.records == []


def test_an_acknowledgement_is_in_the_receipt(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    mine, shot = own_isnet(tmp_path), tmp_path / "shot.png"
    shot.write_bytes(encode(disc_frame(0).pixels, "png"))
    file.write_text(table(sha256=f'"{digest(mine)}"', data_terms='"restricted"'))
    words = ["--usage", "commercial", "--option", f"weights={mine}", "--option", "resolution=256"]
    assert main(["remove", str(shot), "-o", str(tmp_path / "a.png"), *words]) == 2
    assert "--accept-data-terms" in capfd.readouterr().err
    folder = str(tmp_path / "shop")
    assert main(["batch", str(shot), "-o", folder, *words]) == 2
    assert not (tmp_path / "shop").exists()
    for command in (["remove", str(shot), "-o", str(tmp_path / "a.png")], ["batch", str(shot)]):
        more = ["-o", folder] if command[0] == "batch" else []
        assert main([*command, *more, *words, "--accept-data-terms"]) == 0
    monkeypatch.setenv("RMBG_ACCEPT_DATA_TERMS", "1")
    assert main(["remove", str(shot), "-o", str(tmp_path / "b.png"), *words]) == 0
    receipts: list[Any] = [one.data()["licence"] for one in open_user_records().receipts.each()]
    assert [said["accepted_by"][2] for said in receipts] == [
        "--accept-data-terms",
        "--accept-data-terms",
        "RMBG_ACCEPT_DATA_TERMS",
    ]


def test_a_row_that_says_non_commercial_refuses_commercial_use() -> None:
    spec = replace(find("local/birefnet"), licence="not-established", weights_sha256=SHA)
    settings = Settings(weights={SHA: replace(MINE, licence="CC BY-NC 4.0", commercial=False)})
    with pytest.raises(LicenceRefused, match=r"our fine-tune \(CC BY-NC 4\.0"):
        allow(spec, "commercial", settings)
    _, ground = allow(spec, None, settings)
    assert ground.startswith("non-commercial use under CC BY-NC 4.0, by your settings")


def test_a_row_never_opens_weights_whose_licence_is_known() -> None:
    settings = Settings(weights={SHA: MINE})
    for backend in ("local/rmbg-2.0", "local/rmbg-1.4"):
        with pytest.raises(LicenceRefused):
            allow(replace(find(backend), weights_sha256=SHA), "commercial", settings)
    assert licence_of("bria-rmbg-2.0", SHA, {SHA: MINE}) is LICENCES["bria-rmbg-2.0"]
    assert licence_of("not-established", SHA, {SHA: MINE}).attribution.count("MIT") == 1


def test_cores_loader_stays_not_established(file: Path) -> None:
    """It does not say which file it has loaded, so no row can mean it."""
    with standing_in():
        spec = import_module("rmbg_nodes.nodes.core_model").CORE_MODEL
    file.write_text(table())
    with pytest.raises(LicenceRefused, match="setting weights"):
        allow(spec, "commercial", read_settings())
    file.write_text("core_loader = true\n")
    with pytest.raises(BadOption, match="core_loader is no setting"):
        read_settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (table(source=None), "must have exactly"),
        (table(owner='"me"'), "must have exactly"),
        (table(sha256='"abc"'), "64 hexadecimal digits"),
        (table(commercial='"yes"'), "true or false"),
        (table(licence='" "'), "licence must be a text"),
        (table(source='"two\\nlines"'), "source must be a text"),
        (table(name="7"), "name must be a text"),
        (table() + table(), "keep one"),
        ("weights = [1]", r"written as \[\[weights\]\]"),
    ],
)
def test_a_row_that_says_less_or_more_is_refused(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(BadOption, match=words):
        read_settings()


def test_the_rows_of_the_file(file: Path) -> None:
    file.write_text(table())
    assert read_settings().weights == {SHA: MINE}
    assert read_settings({}).weights == {}
