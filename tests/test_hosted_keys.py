"""Keys are found where the user put them, and are seen by nobody else."""

# Pins the inside of config.keyfile
# Pins the inside of config.keys

from __future__ import annotations

import copy
import getpass
import io
import json
import logging
import os
import pickle
import stat
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from rmbg_nodes import cli
from rmbg_nodes.catalogue.hosted_models import ROWS
from rmbg_nodes.config.keyfile import KEY_FILE, read_profiles, write_profiles
from rmbg_nodes.config.keys import Key, find_key, list_keys, remove_key, set_key
from rmbg_nodes.core.errors import BadOption, KeyMissing, RmbgError
from rmbg_nodes.core.specs import BackendSpec

BRIA, FAL, REPLICATE = (
    next(row for row in ROWS if row.provider == provider)
    for provider in ("bria", "fal", "replicate")
)
SENTINEL = "sentinel-5f0c3b-do-not-show"
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")


def found(
    spec: BackendSpec, folder: Path, profile: str = "", environment: dict[str, str] | None = None
) -> str:
    return find_key(spec, profile, folder, environment or {}).reveal()


def refusal(call: Callable[[], object], kind: type[RmbgError] = KeyMissing) -> str:
    """The message; neither it nor the traceback shows the sentinel, nor its beginning."""
    with pytest.raises(kind) as caught:
        call()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SENTINEL[:10] not in shown
    return str(caught.value)


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / KEY_FILE
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


# -- the value shows nowhere


def test_a_key_shows_its_value_to_nobody() -> None:
    @dataclass(frozen=True)
    class Holder:
        key: Key

    key = Key(SENTINEL, "FAL_KEY in the environment")
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("a test of keys")
    logger.addHandler(handler)
    logger.warning("%s %r", key, key)
    shown = [
        repr(key), str(key), f"{key}", f"{key!r}", f"{key!s:>20}",
        repr(Holder(key)), repr(asdict(Holder(key))), repr([key]), repr(copy.copy(key)),
        repr(copy.deepcopy({"a": key})), json.dumps({"key": key}, default=str), *records,
        *(repr(getattr(key, name)) for name in dir(key)),
    ]  # fmt: skip
    assert SENTINEL not in "\n".join(shown)
    assert not hasattr(key, "__dict__")
    assert copy.deepcopy(key).reveal() == key.reveal() == SENTINEL
    assert asdict(Holder(key))["key"].reveal() == SENTINEL
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not written to files"):
            pickle.dumps(key, protocol)


# -- where it is looked for


def test_the_environment_in_the_rows_order(tmp_path: Path) -> None:
    both = {"BRIA_API_KEY": "second", "BRIA_API_TOKEN": " first\n"}
    assert found(BRIA, tmp_path, environment=both) == "first"
    assert found(BRIA, tmp_path, environment={**both, "BRIA_API_TOKEN": "  "}) == "second"
    key = find_key(BRIA, "", tmp_path, both)
    assert key.source == "BRIA_API_TOKEN in the environment"


def test_a_key_in_two_halves(tmp_path: Path) -> None:
    halves = {"FAL_KEY_ID": "id", "FAL_KEY_SECRET": "secret"}
    assert found(FAL, tmp_path, environment=halves) == "id:secret"
    assert found(FAL, tmp_path, environment={**halves, "FAL_KEY": "a:b"}) == "a:b"
    refusal(lambda: found(FAL, tmp_path, environment={"FAL_KEY_ID": "id"}))
    refusal(lambda: found(REPLICATE, tmp_path, environment=halves))


def test_then_the_default_profile_of_the_file(tmp_path: Path) -> None:
    set_key(FAL, "filed", folder=tmp_path)
    assert found(FAL, tmp_path) == "filed"
    assert found(FAL, tmp_path, environment={"FAL_KEY": "set"}) == "set"
    assert str(tmp_path / KEY_FILE) in find_key(FAL, "", tmp_path, {}).source


def test_a_named_profile_is_the_file_alone(tmp_path: Path) -> None:
    set_key(FAL, "of the studio".replace(" ", "-"), "studio", tmp_path)
    environment = {"FAL_KEY": "set"}
    assert found(FAL, tmp_path, "studio", environment) == "of-the-studio"
    text = refusal(lambda: found(FAL, tmp_path, "default", environment))
    assert "there are: studio" in text
    assert "The key profile studio has no key for Bria API" in refusal(
        lambda: found(BRIA, tmp_path, "studio")
    )


def test_the_file_lies_in_the_users_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = set_key(
        FAL, "k", environment={"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)}
    )
    if sys.platform != "darwin":
        assert path == tmp_path / "rmbg-nodes" / KEY_FILE
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setenv("APPDATA", str(tmp_path))
        assert find_key(FAL, "").reveal() == "k"


@pytest.mark.parametrize("spec", [BRIA, FAL, REPLICATE], ids=lambda spec: spec.provider)
def test_a_missing_key_says_how_to_set_it(spec: BackendSpec, tmp_path: Path) -> None:
    text = refusal(lambda: found(spec, tmp_path))
    assert spec.hosting is not None
    for part in (*spec.key_variables, f"keys set {spec.provider}", spec.hosting.key_page):
        assert part in text


def test_a_key_given_as_a_profile_is_not_repeated(tmp_path: Path) -> None:
    assert "none so far" in refusal(lambda: found(FAL, tmp_path, SENTINEL))
    set_key(FAL, "k", "studio", tmp_path)
    assert "there are: studio" in refusal(lambda: found(FAL, tmp_path, SENTINEL))
    assert "no place for a key" in refusal(lambda: set_key(FAL, "k", SENTINEL, tmp_path), BadOption)
    refusal(lambda: remove_key(FAL, SENTINEL, tmp_path), BadOption)
    write(tmp_path, json.dumps({"version": 1, "profiles": {SENTINEL: {"FAL_KEY": "k"}}}))
    refusal(lambda: found(FAL, tmp_path, SENTINEL))
    refusal(lambda: found(FAL, tmp_path, "studio"))


@pytest.mark.parametrize(
    "odd", ["", " ", "two words", "a\r\nX-Evil: 1", "a\x00b", "schlüssel", "k" * 1001]
)
def test_what_cannot_be_a_key_is_refused(odd: str, tmp_path: Path) -> None:
    value = f"{SENTINEL}{odd}{SENTINEL}" if odd.strip() else odd
    text = refusal(lambda: set_key(FAL, value, folder=tmp_path))
    assert "is not a key" in text
    assert not (tmp_path / KEY_FILE).exists()
    if odd.strip():
        text = refusal(lambda: found(FAL, tmp_path, environment={"FAL_KEY": value}))
        assert text.startswith("FAL_KEY in the environment is not a key")
        write_profiles(tmp_path / KEY_FILE, {"default": {"FAL_KEY": value}})
        assert "is not a key" in refusal(lambda: found(FAL, tmp_path))


# -- the file


@posix
def test_the_file_is_the_users_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = set_key(FAL, SENTINEL, folder=tmp_path / "new" / "config")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    for call in (
        lambda: find_key(FAL, "", path.parent, {}),
        lambda: set_key(BRIA, "k", folder=path.parent),
        lambda: list_keys(ROWS, path.parent, {}),
    ):
        assert f"chmod 600 {path}" in refusal(call)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        f'{{"version": 1, "profiles": {{"default": {{"FAL_KEY": "{SENTINEL}"',
        SENTINEL,
        f'"{SENTINEL}"',
        f'{{"FAL_KEY": "{SENTINEL}"}}',
        f'{{"version": 1, "profiles": ["{SENTINEL}"]}}',
        f'{{"version": 1, "profiles": {{"default": "{SENTINEL}"}}}}',
        '{"version": 1, "profiles": {"default": {"FAL_KEY": 5}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_said_and_left_alone(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    for call in (
        lambda: find_key(FAL, "", tmp_path, {}),
        lambda: set_key(BRIA, "k", folder=tmp_path),
        lambda: remove_key(FAL, folder=tmp_path),
    ):
        assert "is damaged and was left as it is" in refusal(call)
    assert path.read_text(encoding="utf-8") == text
    assert found(FAL, tmp_path, environment={"FAL_KEY": "k"}) == "k"


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, '{"version": 2, "profiles": []}')
    assert "newer version" in refusal(lambda: set_key(FAL, "k", folder=tmp_path))


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    refusal(lambda: set_key(FAL, SENTINEL, folder=blocked), KeyMissing)
    path = set_key(FAL, "old", folder=tmp_path)

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left" in refusal(lambda: set_key(FAL, SENTINEL, folder=tmp_path), BadOption)
    assert read_profiles(path) == {"default": {"FAL_KEY": "old"}}
    assert sorted(os.listdir(tmp_path)) == ["file", KEY_FILE]


def test_setting_and_removing_leave_the_others(tmp_path: Path) -> None:
    set_key(FAL, "one", folder=tmp_path)
    set_key(FAL, "two", "studio", tmp_path)
    set_key(BRIA, "three", folder=tmp_path)
    set_key(FAL, "four", folder=tmp_path)
    assert found(FAL, tmp_path) == "four"
    assert remove_key(FAL, folder=tmp_path)
    assert not remove_key(FAL, folder=tmp_path)
    assert (found(BRIA, tmp_path), found(FAL, tmp_path, "studio")) == ("three", "two")
    refusal(lambda: found(FAL, tmp_path))
    assert remove_key(FAL, "studio", tmp_path)
    assert read_profiles(tmp_path / KEY_FILE) == {"default": {"BRIA_API_TOKEN": "three"}}


def test_a_second_name_of_a_key_is_replaced_too(tmp_path: Path) -> None:
    write_profiles(tmp_path / KEY_FILE, {"default": {"BRIA_API_KEY": "old"}})
    assert found(BRIA, tmp_path) == "old"
    set_key(BRIA, "new", folder=tmp_path)
    assert read_profiles(tmp_path / KEY_FILE) == {"default": {"BRIA_API_TOKEN": "new"}}


def test_the_list_is_masked_and_in_the_order_of_use(tmp_path: Path) -> None:
    set_key(FAL, "short-key-15-cha", "agency", tmp_path)
    set_key(FAL, "fifteen-letters", folder=tmp_path)
    rows = list_keys(
        ROWS, tmp_path, {"FAL_KEY": SENTINEL, "FAL_KEY_ID": "a", "FAL_KEY_SECRET": "b"}
    )
    assert [(row.variable, row.profile, row.masked) for row in rows] == [
        ("FAL_KEY", None, "sent...show"),
        ("FAL_KEY_ID and FAL_KEY_SECRET", None, "****"),
        ("FAL_KEY", "default", "****"),
        ("FAL_KEY", "agency", "shor...-cha"),
    ]
    assert {row.provider for row in rows} == {"fal"}


# -- the command


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run `rmbg keys ...` in a configuration folder of the test; everything printed comes back,
    and the sentinel never."""
    for variable in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    def call(*words: str, typed: str = "", terminal: bool = False) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", (_Terminal if terminal else io.StringIO)(typed))
        monkeypatch.setattr(getpass, "getpass", lambda prompt: typed)
        status = cli.main(["keys", *words])
        printed = capsys.readouterr()
        assert SENTINEL not in printed.out + printed.err
        return status, printed.out + printed.err

    return call


@pytest.mark.parametrize("terminal", [False, True])
def test_set_list_remove(keys: Callable[..., tuple[int, str]], terminal: bool) -> None:
    assert keys("list")[0] == 0
    status, said = keys("set", "fal", typed=f"{SENTINEL}\n", terminal=terminal)
    assert status == 0
    assert "readable by you alone" in said
    assert find_key(FAL, "").reveal() == SENTINEL
    assert keys("set", "bria", "--profile", "studio", typed=SENTINEL, terminal=terminal)[0] == 0
    status, said = keys("list")
    assert "sent...show" in said
    assert "profile studio" in said
    rows = json.loads(keys("list", "--json")[1])
    assert [row["provider"] for row in rows] == ["bria", "fal"]
    assert keys("remove", "fal")[0] == 0
    assert keys("remove", "fal") == (1, "The key file has no such key for fal.\n")


def test_a_key_as_an_argument_is_refused_and_not_repeated(
    keys: Callable[..., tuple[int, str]],
) -> None:
    for words in (
        ("set", "fal", SENTINEL),
        ("set", "fal", "--key", SENTINEL),
        ("set", "fal", f"--token={SENTINEL}"),
        ("set", SENTINEL),
        ("remove", SENTINEL),
        ("set", "fal", "--profile", SENTINEL),
    ):
        status, said = keys(*words, typed="good-key")
        assert status == 2
        assert said.startswith("rmbg: ")
    assert "No keys" in keys("list")[1]


def test_nothing_typed_changes_nothing(
    keys: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys("set", "fal", typed="")[0] == 2
    keys("set", "fal", typed="k")

    def closed(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr(getpass, "getpass", closed)
    assert cli.main(["keys", "set", "fal"]) == 2
    assert find_key(FAL, "").reveal() == "k"


def test_a_variable_that_comes_first_is_mentioned(
    keys: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", SENTINEL)
    assert "FAL_KEY is set in the environment" in keys("set", "fal", typed="k")[1]
