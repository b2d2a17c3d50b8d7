"""The settings file: read anew, environment over file over default, and nothing secret in it."""

# Pins the inside of config.file
# Pins the inside of config.toml

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.catalogue.hosted_models import BASE_VARIABLES
from rmbg_nodes.config import file as file_module
from rmbg_nodes.config import host as host_module
from rmbg_nodes.config import hosted as hosted
from rmbg_nodes.config.file import key_of, read_settings_file
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.settings import KEYS, VARIABLES, read_settings
from rmbg_nodes.config.toml import looks_secret
from rmbg_nodes.core.errors import BackendUnknown, BadOption, LicenceRefused, Offline
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.pipeline.gate import allow, open_backend

# Two values that can be told apart for every setting that is no number or address: in the file,
# in the environment.
SAMPLES = {
    "usage": ('"commercial"', "non-commercial"),
    "backend": ('"keyer"', "bria"),
    "offline": ("true", "0"),
    "models": ('["/file/a", "/file/b"]', "/env/a"),
    "device": ('"cpu"', "cuda:1"),
    "data": ('"/file/data"', "/env/data"),
    "bria_licence": ('"F-1"', "E-2"),
    "accept_data_terms": ("true", "0"),
    "remote_setup": ("true", "0"),
    "prices": ('{ "bria/rmbg-2.0" = 0.015 }', "fal/rmbg-3.0=0.02"),
}


def samples(key: str) -> tuple[str, str]:
    if KEYS[key] in BASE_VARIABLES:
        return '"https://file.example"', "https://env.example"
    file, env = SAMPLES.get(key, ("7", "9"))
    return file, env


@pytest.fixture(autouse=True)
def _no_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On macOS the configuration folder is always below the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def file() -> Path:
    path = PlainHost().settings_path()
    path.parent.mkdir(parents=True)
    return path


def test_without_a_file_the_environment_is_all_there_is() -> None:
    assert PlainHost().surroundings() is os.environ
    assert not PlainHost().settings_file().exists


def test_every_variable_but_the_files_own_has_a_key() -> None:
    assert set(KEYS.values()) == set(VARIABLES) - {"RMBG_SETTINGS"}
    assert all(key == key.lower() and key_of(name) == key for key, name in KEYS.items())


@pytest.mark.parametrize("key", KEYS)
def test_the_environment_wins_over_the_file(file: Path, monkeypatch, key: str) -> None:
    in_file, in_environment = samples(key)
    assert KEYS[key] not in PlainHost().surroundings()
    file.write_text(f"{key} = {in_file}\n")
    read_settings()
    text = PlainHost().surroundings()[KEYS[key]]
    monkeypatch.setenv(KEYS[key], in_environment)
    read_settings()
    assert PlainHost().surroundings()[KEYS[key]] == in_environment != text
    monkeypatch.setenv(KEYS[key], " ")  # set to nothing is not set
    assert PlainHost().surroundings()[KEYS[key]] == text


def test_every_module_that_has_a_setting_reads_the_file(file: Path) -> None:
    file.write_text(
        'usage = "commercial"\nmodels = ["/m/one", "/m/two"]\ndevice = "meta"\ndata = "/d"\n'
        'cache = 5\noffline = true\nbria_licence = "B-17"\njob_timeout = 12.5\nfal_in_flight = 3\n'
        'fal_requests_a_minute = 44\nfal_queue_url = "https://gate.example/fal/"\n'
        '[prices]\n"fal/rmbg-2.0" = 0.0150\n'
    )
    host, settings, fal = PlainHost(), read_settings(), find("fal/rmbg-2.0")
    assert [str(folder) for folder in host.model_folders()] == ["/m/one", "/m/two", "/d/models"]
    assert str(host.data_folder()) == "/d"
    assert host.device().type == "meta"
    assert (settings.usage, settings.offline, settings.cache_bytes) == (
        "commercial",
        True,
        5 * 10**6,
    )
    assert settings.grants["bria-rmbg-2.0"] == "B-17"
    assert hosted.limits_of(fal) == hosted.Limits(3, 44, 12.5)
    assert "https://gate.example/fal" in hosted.bases_of(fal).values()
    price = hosted.priced(fal).price
    assert price is not None
    assert str(price.amount) == "0.0150"


def test_the_records_lie_where_the_file_says(file: Path, tmp_path: Path) -> None:
    file.write_text(f"data = '{tmp_path / 'own'}'\n")
    assert open_user_records().cache.info().folder.is_relative_to(tmp_path / "own")


def test_what_the_file_pins_wins_over_graph_and_command(file: Path) -> None:
    file.write_text('usage = "commercial"\nbackend = "keyer"\n')
    backend = open_backend("local/rmbg-2.0", usage="non-commercial")
    assert backend.spec.id == "keyer"
    usage, _ = allow(backend.spec, "non-commercial", read_settings())
    assert usage == "commercial"
    with pytest.raises(LicenceRefused):
        allow(find("local/rmbg-2.0"), "non-commercial", read_settings())


def test_what_the_file_refuses_is_refused(file: Path) -> None:
    file.write_text("offline = true\n")
    with pytest.raises(Offline):
        open_backend("bria")
    file.write_text('backend = "birja"\n')
    with pytest.raises(BackendUnknown, match="birja"):
        open_backend("keyer")


def test_a_changed_file_holds_at_once_and_an_unchanged_one_is_not_parsed_again(
    file: Path, monkeypatch
) -> None:
    file.write_text("cache = 5\n")
    assert read_settings().cache_bytes == 5_000_000
    with monkeypatch.context() as patch:
        patch.setattr(file_module, "parse_toml", lambda *_, **__: pytest.fail("parsed again"))
        assert read_settings().cache_bytes == 5_000_000
    file.write_text("cache = 77\n")
    assert read_settings().cache_bytes == 77_000_000
    file.unlink()
    assert read_settings().cache_bytes == 2_000_000_000


def test_settings_come_from_one_look_at_the_file(file: Path, monkeypatch) -> None:
    file.write_text("offline = true")
    looks: list[Path] = []

    def look(path: Path, *, required: bool) -> file_module.SettingsFile:
        looks.append(path)
        return read_settings_file(path, required=required)

    monkeypatch.setattr(host_module, "read_settings_file", look)
    assert read_settings().offline
    assert looks == [file]


def test_a_hundred_runs_read_the_settings_file_once(file: Path, monkeypatch) -> None:
    file.write_text('usage = "commercial"\ncache = 5\nfal_in_flight = 3\n')
    reads: list[Path] = []
    whole = Path.read_bytes

    def read(path: Path) -> bytes:
        reads.append(path)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    for _ in range(100):
        read_settings()
    assert reads.count(file) == 1


def test_rmbg_settings_names_another_file_which_must_exist(
    file: Path, monkeypatch, tmp_path: Path
) -> None:
    file.write_text("cache = 5\n")
    other = tmp_path / "other.toml"
    monkeypatch.setenv("RMBG_SETTINGS", str(other))
    with pytest.raises(BadOption, match=r"no settings file .*other\.toml"):
        read_settings()
    other.write_text("cache = 6\n")
    assert read_settings().cache_bytes == 6_000_000
    monkeypatch.setenv("RMBG_SETTINGS", os.devnull)
    assert read_settings().cache_bytes == 2_000_000_000


def test_an_environment_that_is_given_is_taken_alone(file: Path) -> None:
    file.write_text("cache = 5\noffline = true\n")
    assert not read_settings({}).offline
    assert PlainHost({}).surroundings() == {}


MISTAKES = {
    "not TOML": "usage = commercial\n",
    "ofline is no setting": "ofline = true\n",
    "settings is no setting": 'settings = "/etc/other.toml"\n',
    "RMBG_USAGE is 'comercial'": 'usage = "comercial"\n',
    "RMBG_OFFLINE is 'maybe'": 'offline = "maybe"\n',
    "RMBG_CACHE is '1.5'": "cache = 1.5\n",
    "RMBG_FAL_IN_FLIGHT": "fal_in_flight = 0\n",
    "RMBG_JOB_TIMEOUT": "job_timeout = -1\n",
    "must be an https address": 'bria_url = "http://gateway.example"\n',
    "RMBG_PRICES has 'offline=True'": "[prices]\noffline = true\n",
    "data has a value that no setting takes": "data = 2026-11-21\n",
    "models has a value that no setting takes": "models = [1, 2]\n",
    "device has a value that no setting takes": 'device = "cpu\\n"\n',
    "written as": 'weights = "mine.safetensors"\n',
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_in_the_file_refuses_the_run_and_names_the_file(file: Path, words: str) -> None:
    file.write_text(MISTAKES[words])
    with pytest.raises(BadOption) as refusal:
        open_backend("keyer")
    assert words in str(refusal.value)
    assert str(file) in str(refusal.value)


SECRETS = [
    'fal_key = "x"',
    'BRIA_API_TOKEN = "x"',
    '[keys]\nbria = "x"',
    '[profiles.default]\npassword = "x"',
    'backend = "r8_abcdefghijklmnopqrstuvwxyz0123456789"',
    'device = "hf_abcdefghijklmnopqrstuvwxyz"',
    'data = "0123456789abcdef0123456789abcdef"',
    f'bria_licence = "12345678-1234-1234-1234-123456789012:{"ab" * 16}"',
    'bria_url = "https://user:hunter2@gateway.example"',
    'models = ["/weights", "sk-abcdefghijklmnopqrstuvwx"]',
]


@pytest.mark.parametrize("line", SECRETS)
def test_what_looks_like_a_key_is_refused_and_never_repeated(file: Path, line: str) -> None:
    file.write_text(f"{line}\n")
    with pytest.raises(BadOption, match="keys set") as refusal:
        read_settings()
    said = f"{refusal.value} {refusal.value.__cause__} {refusal.value.__context__}"
    for part in ("hunter2", "abcdef", "ababab"):
        assert part not in said


def test_ordinary_texts_do_not_look_like_keys() -> None:
    for text in ("hf_models", "/data/sk-weights", "B-17/2026", "ab" * 32, "https://a.example/b"):
        assert not looks_secret(text)


def test_keys_can_still_be_kept_while_the_file_is_refused(file: Path) -> None:
    file.write_text('fal_key = "x"\n')
    assert PlainHost().config_folder() == file.parent
    with pytest.raises(BadOption):
        PlainHost().data_folder()


def test_what_an_editor_on_windows_writes(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf# mine\r\nusage = \"commercial\"\r\ndata = 'C:\\rmbg'\r\n")
    values = PlainHost().settings_file().values
    assert values == {"RMBG_USAGE": "commercial", "RMBG_DATA": "C:\\rmbg"}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(file: Path) -> None:
    file.write_text("offline = true\n")
    file.chmod(0)
    with pytest.raises(BadOption, match="cannot be read"):
        read_settings()


def test_a_folder_of_that_name_and_an_impossible_path_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("a\0b")):
        with pytest.raises(BadOption, match="cannot be read"):
            read_settings_file(path, required=True)


def test_hosted_settings_are_read_where_the_file_has_some(file: Path, monkeypatch) -> None:
    """A run on this machine waits for none of them; a wrong one is refused all the same."""
    file.write_text("fal_in_flight = 0\n")
    with pytest.raises(BadOption, match="RMBG_FAL_IN_FLIGHT"):
        read_settings()
    monkeypatch.setattr(hosted, "check", lambda _: pytest.fail("looked at hosted settings"))
    file.write_text("offline = true\n")
    assert read_settings().offline


def test_without_a_parser_a_file_is_refused_and_none_is_no_trouble(file: Path, monkeypatch) -> None:
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    read_settings()
    file.write_text("offline = true\n")
    with pytest.raises(BadOption, match="pip install tomli"):
        read_settings()


def test_the_parser_of_python_3_10_is_taken_where_it_is_installed(file: Path, monkeypatch) -> None:
    tomllib = pytest.importorskip("tomllib")
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", tomllib)
    file.write_text("offline = true\n")
    assert read_settings().offline
