"""Rows of the settings file that establish the licence of a user's own weights."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from rmbg_nodes.backends.catalogue import find
from rmbg_nodes.backends.local.verify import digest
from rmbg_nodes.core.errors import BadOption, LicenceRefused
from rmbg_nodes.core.licences import LICENCES, OwnWeights, licence_of
from rmbg_nodes.core.specs import OptionValue
from rmbg_nodes.gate import allow, open_backend
from rmbg_nodes.host import PlainHost
from rmbg_nodes.interface import remove_background
from rmbg_nodes.settings import Settings, read_settings
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.comfy_standin import standing_in
from rmbg_nodes.tests.support.networks import small_birefnet

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
