"""`rmbg config`: what is in force and where it comes from, the template, and the documentation."""

# Pins the inside of backends.local.released
# Pins the inside of cli.config_command

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from rmbg_nodes.backends.local.released import RELEASED
from rmbg_nodes.cli import config_command
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.settings import DEFAULTS, KEYS, VARIABLES, read_settings
from rmbg_nodes.core.errors import BadOption

KEY = "r8_abcdefghijklmnopqrstuvwxyz0123456789"


def rmbg_config(*words: str) -> int:
    parser = argparse.ArgumentParser()
    config_command.add_arguments(parser)
    return config_command.run(parser.parse_args(words))


@pytest.fixture(autouse=True)
def _no_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On macOS the configuration folder is always below the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def file() -> Path:
    path = PlainHost().settings_path()
    path.parent.mkdir(parents=True)
    return path


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    assert rmbg_config("show", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    return {row["key"]: (row["value"], row["source"]) for row in data["settings"]}


def test_every_setting_is_shown_with_its_source(file: Path, capsys, monkeypatch) -> None:
    file.write_text('usage = "commercial"\ncache = 5\n')
    monkeypatch.setenv("RMBG_CACHE", "6")
    rows = shown(capsys)
    assert list(rows) == [*KEYS, "settings"]
    assert rows["usage"] == ("commercial", "file")
    assert rows["cache"] == ("6", "environment")
    assert rows["job_timeout"] == ("300", "default")
    assert rows["device"] == ("not set", "default")
    assert rows["data"] == (str(PlainHost().data_folder()), "default")
    assert rows["settings"] == (str(file), "default")
    assert rmbg_config() == 0
    text = capsys.readouterr().out
    assert re.search(r"^  cache +6 +environment$", text, re.MULTILINE)


def test_no_secret_is_shown(file: Path, capsys, monkeypatch) -> None:
    file.write_text('bria_licence = "B-4711"\n')
    for name in ("RMBG_DEVICE", "RMBG_BACKEND", "RMBG_USAGE", "RMBG_DATA", "FAL_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("RMBG_BRIA_URL", "https://user:hunter2@gateway.example")
    for words in (("show",), ("show", "--json"), ("check",)):
        rmbg_config(*words)
        said = "".join(capsys.readouterr())
        assert said
        for secret in (KEY, "hunter2", "4711"):
            assert secret not in said, words


def test_path_says_where_the_file_would_be(capsys, monkeypatch) -> None:
    assert rmbg_config("path") == 0
    assert capsys.readouterr().out.strip().endswith("settings.toml")
    monkeypatch.setenv("RMBG_SETTINGS", "/somewhere/mine.toml")
    assert rmbg_config("path") == 0
    assert capsys.readouterr().out == "/somewhere/mine.toml\n"


def test_init_writes_a_template_once(capsys) -> None:
    path = PlainHost().settings_path()
    assert rmbg_config("init") == 0
    assert read_settings() == read_settings({})
    assert rmbg_config("check") == 0
    before = path.read_bytes()
    with pytest.raises(BadOption, match="left as it is"):
        rmbg_config("init")
    assert path.read_bytes() == before
    assert "0 settings" in capsys.readouterr().out


def test_every_line_of_the_template_can_be_used(file: Path) -> None:
    lines = config_command.template().splitlines()
    setting = re.compile(r"# (\w+ = |\[|\"bria)")
    text = "\n".join(line.removeprefix("# ") if setting.match(line) else line for line in lines)
    file.write_text(text)
    read = PlainHost().settings_file()
    assert set(read.values) == set(KEYS.values())
    (own,) = read_settings().weights.values()
    assert own.commercial


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ofline = true", "ofline is no setting"),
        ('backend = "rmbg-9"', "There is no backend"),
        ("usage =", "not TOML"),
        ('fal_key = "x"', "keys set"),
    ],
)
def test_check_says_what_is_wrong(file: Path, capsys, text: str, words: str) -> None:
    file.write_text(text)
    assert rmbg_config("check") == 1
    assert words in capsys.readouterr().out


def test_check_looks_at_the_environment_too(capsys, monkeypatch) -> None:
    assert rmbg_config("check") == 0
    monkeypatch.setenv("RMBG_OFLINE", "1")
    assert rmbg_config("check") == 1
    monkeypatch.delenv("RMBG_OFLINE")
    monkeypatch.setenv("RMBG_CACHE", "much")
    assert rmbg_config("check") == 1
    said = capsys.readouterr().out
    assert "RMBG_OFLINE is read by nothing" in said
    assert "RMBG_CACHE is 'much'" in said


def test_check_names_rows_for_files_whose_licence_is_known(file: Path, capsys) -> None:
    row = RELEASED[0]
    file.write_text(
        f'[[weights]]\nsha256 = "{row.sha256}"\nname = "mine"\nlicence = "MIT"\nsource = "me"\n'
        "commercial = true\n"
    )
    assert rmbg_config("check") == 1
    assert f"is the released {row.name}" in capsys.readouterr().out


def test_the_table_of_the_documentation(root: Path) -> None:
    """To renew it: python scripts/make_docs.py."""
    assert config_command.markdown_table() in (root / "docs" / "settings.md").read_text(
        encoding="utf-8"
    )


def test_the_defaults_are_those_that_are_used() -> None:
    assert set(DEFAULTS) <= set(VARIABLES)
    assert DEFAULTS["RMBG_CACHE"] == str(read_settings({}).cache_bytes // 10**6)
    assert DEFAULTS["RMBG_BRIA_REQUESTS_A_MINUTE"] == "60"
