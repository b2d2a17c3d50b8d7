"""Where weights are looked for, what is found there, and what is said when they are not."""

# Pins the inside of backends.local.find
# Pins the inside of backends.local.released
# Pins the inside of backends.local.verify
# Pins the inside of backends.local.weights

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rmbg_nodes.backends.local import verify
from rmbg_nodes.backends.local.find import (
    Found,
    find_weights,
    hub_cache,
    identify,
    own_file,
    search_places,
    sightings,
    spec_of,
)
from rmbg_nodes.backends.local.released import RELEASED, Released, rows_of
from rmbg_nodes.backends.local.verify import digest, remembered, sha256_of, stamp_of
from rmbg_nodes.backends.local.weights import target_of
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.catalogue.licences import LICENCES
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import BadOption, LicenceRefused, WeightsMissing, WeightsUnusable
from rmbg_nodes.pipeline.gate import allow

WHOLE = b"the whole RMBG-2.0, in forty bytes......"
OLDER = b"RMBG-1.4 as it was saved in March"


def row(model: str, repo: str, file: str, content: bytes, licence: str) -> Released:
    sha256 = hashlib.sha256(content).hexdigest()
    return Released(model, repo, file, len(content), sha256, licence, "float32")


ROWS = (
    row("rmbg-2.0", "briaai/RMBG-2.0", "model.safetensors", WHOLE, "bria-rmbg-2.0"),
    row("rmbg-1.4", "briaai/RMBG-1.4", "model.safetensors", b"unused", "bria-rmbg-1.4"),
    row("rmbg-1.4", "briaai/RMBG-1.4", "model.pth", OLDER, "bria-rmbg-1.4"),
)
BIREFNET = row("birefnet", "ZhengPeng7/BiRefNet", "model.safetensors", b"open", "birefnet-mit")


@pytest.fixture
def host(tmp_path: Path) -> PlainHost:
    folders = os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "second")])
    return PlainHost(
        {"RMBG_MODELS": folders, "XDG_DATA_HOME": str(tmp_path / "data")}, platform="linux"
    )


@pytest.fixture
def look(host: PlainHost, tmp_path: Path) -> Callable[..., Found]:
    def find(model: str = "rmbg-2.0", path: str = "") -> Found:
        cache = {"HF_HOME": str(tmp_path / "hf")}
        return find_weights(model, host, path=path, rows=ROWS, environment=cache)

    return find


def put(path: Path, content: bytes = WHOLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "place",
    [
        "first/RMBG-2.0/model.safetensors",  # ours, and 1038lab's and Easy-Use's
        "second/RMBG-2.0/model.safetensors",
        "first/model.safetensors",
        "first/rmbg2.safetensors",  # renamed by its owner
        "first/BiRefNet/RMBG-2.0/model.safetensors",
        "data/rmbg-nodes/models/RMBG-2.0/model.safetensors",
        "hf/hub/models--briaai--RMBG-2.0/snapshots/5df4c9c7/model.safetensors",
    ],
)
def test_found_in(tmp_path: Path, look: Callable[..., Found], place: str) -> None:
    path = put(tmp_path / place)
    found = look()
    assert found.path == path
    assert found.released is ROWS[0]
    assert found.licence == "bria-rmbg-2.0"


def test_the_first_folder_wins(tmp_path: Path, look: Callable[..., Found]) -> None:
    put(tmp_path / "hf/hub/models--briaai--RMBG-2.0/snapshots/5df4c9c7/model.safetensors")
    put(tmp_path / "second/RMBG-2.0/model.safetensors")
    assert look().path == tmp_path / "second/RMBG-2.0/model.safetensors"
    put(tmp_path / "first/RMBG-2.0/model.safetensors")
    assert look().path == tmp_path / "first/RMBG-2.0/model.safetensors"


def test_another_file_of_the_model_serves_too(tmp_path: Path, look: Callable[..., Found]) -> None:
    path = put(tmp_path / "first/briarmbg.pth", OLDER)
    assert look("rmbg-1.4").path == path


ISNET = row("isnet", "someone/isnet-general-use", "isnet_1024.onnx", b"IS-Net", "isnet-dis")


@pytest.mark.parametrize(
    ("place", "variable"),
    [
        (".u2net/isnet-general-use.onnx", None),
        (".rembg/models/isnet-general-use/isnet-general-use.onnx", None),
        ("elsewhere/isnet-general-use.onnx", "U2NET_HOME"),
        ("elsewhere/models/isnet-general-use/isnet-general-use.onnx", "REMBG_HOME"),
    ],
)
def test_rembgs_file_is_found_where_rembg_keeps_it(
    tmp_path: Path,
    host: PlainHost,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    variable: str | None,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    environment = {"HF_HOME": str(tmp_path / "hf")}
    if variable:
        environment[variable] = str(tmp_path / "elsewhere")
    path = put(tmp_path / place, b"IS-Net")
    found = find_weights("isnet", host, rows=[*ROWS, ISNET], environment=environment)
    assert found.path == path
    assert found.licence == "isnet-dis"
    assert tmp_path / ".u2net" not in search_places(host, ROWS, environment)


def test_a_file_of_another_model_of_the_same_size_is_not_called_damaged(
    tmp_path: Path, host: PlainHost
) -> None:
    other = row("rmbg-2.0-hr", "briaai/RMBG-2.0-HR", "model.safetensors", WHOLE[::-1], "keyer")
    put(tmp_path / "first/mine.safetensors", WHOLE)
    with pytest.raises(WeightsMissing) as caught:
        find_weights("rmbg-2.0-hr", host, rows=[*ROWS, other], environment={})
    assert "another sha256" not in str(caught.value)


def test_a_file_in_a_folder_of_its_repository_lies_in_the_models_own(tmp_path: Path) -> None:
    sha256 = hashlib.sha256(WHOLE).hexdigest()
    nested = Released("x", "a/B", "sub/x.safetensors", 1, sha256, "keyer", "float32", title="X")
    assert target_of(nested, tmp_path) == tmp_path / "X" / "x.safetensors"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_the_cache_is_read_through_its_links(tmp_path: Path, look: Callable[..., Found]) -> None:
    base = tmp_path / "hf/hub/models--briaai--RMBG-2.0"
    blob = put(base / "blobs" / "abc")
    link = base / "snapshots/5df4c9c7/model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert look().path == link
    blob.unlink()  # an interrupted download leaves a link into nothing
    with pytest.raises(WeightsMissing):
        look()


def test_missing_says_where_what_and_how(tmp_path: Path, look: Callable[..., Found]) -> None:
    put(tmp_path / "first/notes.txt", WHOLE)
    put(tmp_path / "first/a/b/c/d/model.safetensors")  # deeper than anybody puts it
    with pytest.raises(WeightsMissing) as caught:
        look()
    said = str(caught.value)
    for words in (
        str(tmp_path / "first"),
        str(tmp_path / "second"),
        str(tmp_path / "data/rmbg-nodes/models"),
        "models--briaai--RMBG-2.0",
        "model.safetensors",
        f"{len(WHOLE)} bytes",
        "weights get rmbg-2.0 --accept-license",
        "CC BY-NC 4.0",
        str(tmp_path / "first" / "RMBG-2.0"),
    ):
        assert words in said


@pytest.mark.parametrize("content", [WHOLE[:-1], WHOLE[::-1], b""])
def test_a_broken_file_in_the_right_place_is_said(
    tmp_path: Path, look: Callable[..., Found], content: bytes
) -> None:
    path = put(tmp_path / "first/RMBG-2.0/model.safetensors", content)
    with pytest.raises(WeightsUnusable) as caught:
        look()
    assert str(path) in str(caught.value)
    assert "weights get rmbg-2.0" in str(caught.value)
    good = put(tmp_path / "second/RMBG-2.0/model.safetensors")
    assert look().path == good


def test_a_foreign_file_of_the_same_size_is_passed_over(
    tmp_path: Path, look: Callable[..., Found]
) -> None:
    put(tmp_path / "first/BiRefNet/portrait.safetensors", WHOLE[::-1])
    with pytest.raises(WeightsMissing):
        look()


def test_a_file_of_the_released_size_is_named_with_the_setting_for_it(
    tmp_path: Path, look: Callable[..., Found]
) -> None:
    path = put(tmp_path / "first/isnet general.safetensors", WHOLE[::-1])
    with pytest.raises(WeightsMissing) as caught:
        look()
    said = str(caught.value)
    assert f"{path} has exactly the released size and another sha256" in said
    assert hashlib.sha256(WHOLE[::-1]).hexdigest() in said
    assert f"--option weights='{path}'" in said
    other = put(tmp_path / "second/mine.safetensors")
    assert look().path == other


def test_the_row_of_a_file_is_that_of_the_file(
    tmp_path: Path, host: PlainHost, look: Callable[..., Found]
) -> None:
    """Whatever id it is opened under: BRIA's stays BRIA's, and one's own is no catalogue's."""
    known = put(tmp_path / "else/renamed.bin")
    own = put(tmp_path / "else/own.bin", b"my own")
    for model in ("rmbg-2.0", "rmbg-1.4", "birefnet"):
        row = BACKENDS[f"local/{model}"]
        found = own_file(model, host, str(known), rows=(*ROWS, BIREFNET))
        assert found is not None
        spec = spec_of(row, found)
        assert (spec.id, spec.licence) == ("local/rmbg-2.0", "bria-rmbg-2.0")
        with pytest.raises(LicenceRefused, match="RMBG_BRIA_LICENCE"):
            allow(spec, "commercial", Settings(data_terms="yes"))
        found = own_file(model, host, str(own), rows=(*ROWS, BIREFNET))
        assert found is not None
        assert spec_of(row, found).id == "local"


def test_a_given_path_is_taken_as_it_is(
    tmp_path: Path, look: Callable[..., Found], host: PlainHost
) -> None:
    own = put(tmp_path / "else/finetune.safetensors", b"my own")
    found = look(path=str(own))
    assert (found.path, found.released, found.licence) == (own, None, "not-established")
    known = put(tmp_path / "else/renamed.bin")
    assert look("rmbg-1.4", path=str(known)).licence == "bria-rmbg-2.0"
    assert identify(known, host, rows=ROWS).sha256 == ROWS[0].sha256


def test_a_given_folder_is_searched_alone(tmp_path: Path, look: Callable[..., Found]) -> None:
    put(tmp_path / "first/RMBG-2.0/model.safetensors")
    inside = put(tmp_path / "else/RMBG-2.0/model.safetensors")
    assert look(path=str(tmp_path / "else")).path == inside
    inside.unlink()
    with pytest.raises(WeightsMissing, match="else"):
        look(path=str(tmp_path / "else"))
    with pytest.raises(WeightsMissing, match="There is no file"):
        look(path=str(tmp_path / "nowhere.safetensors"))


def test_an_unknown_model(host: PlainHost) -> None:
    with pytest.raises(BadOption, match=r"rmbg-2\.0, rmbg-1\.4, birefnet"):
        find_weights("rmbg-9", host)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, look: Callable[..., Found]) -> None:
    closed = put(tmp_path / "first/RMBG-2.0/model.safetensors").parent
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("this user may read everything")
    try:
        with pytest.raises(WeightsMissing, match="could not be read"):
            look()
    finally:
        closed.chmod(0o700)


def test_folders_that_cannot_be_read_are_gathered(tmp_path: Path, monkeypatch) -> None:
    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    blocked: list[str] = []
    assert sightings(ROWS, [tmp_path / "closed"], blocked) == []
    assert blocked == [str(tmp_path / "closed")]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_linked_folder_is_searched(tmp_path: Path, look: Callable[..., Found]) -> None:
    put(tmp_path / "big disk/RMBG-2.0/model.safetensors")
    (tmp_path / "first").mkdir()
    (tmp_path / "first/RMBG-2.0").symlink_to(tmp_path / "big disk/RMBG-2.0")
    assert look().path == tmp_path / "first/RMBG-2.0/model.safetensors"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_a_circle_end(tmp_path: Path, look: Callable[..., Found]) -> None:
    path = put(tmp_path / "first/RMBG-2.0/model.safetensors")
    (tmp_path / "first/RMBG-2.0/again").symlink_to(tmp_path / "first")
    assert look().path == path


def in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def by_renaming(path: Path, content: bytes) -> None:
    put(other := path.with_suffix(".new"), content)
    os.replace(other, path)


def by_a_link(path: Path, content: bytes) -> None:
    put(other := path.with_suffix(".new"), content)
    path.unlink()
    path.symlink_to(other)


def test_a_hash_is_computed_once_and_again_after_a_change(tmp_path: Path) -> None:
    path, data = put(tmp_path / "w.safetensors"), tmp_path / "data"
    assert remembered(path, data) is None
    assert sha256_of(path, data) == digest(path) == hashlib.sha256(WHOLE).hexdigest()
    assert remembered(path, data) == digest(path)
    stamp = path.stat()
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert remembered(path, data) is None
    assert sha256_of(path, data) == hashlib.sha256(WHOLE).hexdigest()
    path.write_bytes(WHOLE[::-1])
    assert sha256_of(path, data, anew=True) == hashlib.sha256(WHOLE[::-1]).hexdigest()


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no time of the last change")
@pytest.mark.parametrize("swap", [in_place, by_renaming, by_a_link])
def test_a_swapped_file_of_the_same_size_and_time_is_seen(
    tmp_path: Path, swap: Callable[[Path, bytes], None]
) -> None:
    """At once, within one tick of the clock of the file system."""
    path, data = put(tmp_path / "w.safetensors"), tmp_path / "data"
    before = sha256_of(path, data)
    stamp = path.stat()
    swap(path, WHOLE[::-1])
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stamp.st_size, stamp.st_mtime_ns)
    assert remembered(path, data) is None
    assert sha256_of(path, data) == hashlib.sha256(WHOLE[::-1]).hexdigest() != before


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no time of the last change")
def test_what_a_file_was_found_to_be_is_not_remembered_of_the_next(
    tmp_path: Path, look: Callable[..., Found]
) -> None:
    """The licence gate trusts this: other weights must not pass as BRIA's, nor BRIA's as others."""
    path = put(tmp_path / "first/RMBG-2.0/model.safetensors")
    assert look().licence == look(path=str(path)).licence == "bria-rmbg-2.0"
    stamp = path.stat()
    in_place(path, WHOLE[::-1])
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert look(path=str(path)).licence == "not-established"
    with pytest.raises(WeightsUnusable, match="sha256 is another"):
        look()


def test_stamps_that_tell_nothing_are_not_kept_for_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that gives no inode, no time of change, or one that comes from FAT."""
    path, data = put(tmp_path / "w.safetensors"), tmp_path / "data"
    real = stamp_of(path.stat())
    for silent in ({"inode": 0}, {"changed": 0}, {"changed": 1_700_000_000_120_000_000}):
        assert not real._replace(**silent).tells
        with monkeypatch.context() as patched:
            patched.setattr(verify, "stamp_of", lambda _: real._replace(**silent))  # noqa: B023
            assert sha256_of(path, data) == hashlib.sha256(WHOLE).hexdigest()
            assert remembered(path, data) == digest(path), "once a process"
            assert not (data / "weights-sha256.json").exists()
            verify._here.clear()  # what the end of the process does
            assert remembered(path, data) is None


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "null", '{"a": 1}', '{"a": [1, 2]}', "\0", "[" * 100_000),
        '{"a": [1e999, 1, 1, 1, "00"]}',
    ],
)
def test_a_damaged_memory_is_forgotten(tmp_path: Path, content: str) -> None:
    path, data = put(tmp_path / "w.safetensors"), tmp_path / "data"
    data.mkdir()
    (data / "weights-sha256.json").write_text(content)
    assert sha256_of(path, data) == digest(path)
    assert str(path) in json.loads((data / "weights-sha256.json").read_text())


@pytest.mark.parametrize("sha256", ["0" * 63, "x" * 64, 7, None])
def test_entries_that_are_no_longer_ours_are_read_again(tmp_path: Path, sha256: object) -> None:
    """Of an earlier version, which knew size and time alone, and of whoever has edited the file."""
    path, data = put(tmp_path / "w.safetensors"), tmp_path / "data"
    good = put(tmp_path / "good.safetensors", b"good")
    sha256_of(good, data)
    sha256_of(path, data)
    file = data / "weights-sha256.json"
    memory = json.loads(file.read_text())
    size, modified, *rest = memory[str(path)]
    others: list[object] = [[size, modified, "0" * 64], [size, modified, *rest[:-1], sha256], {}]
    for entry in others:
        file.write_text(json.dumps({**memory, str(path): entry}))
        assert remembered(path, data) is None
        assert remembered(good, data) == digest(good)
        assert sha256_of(path, data) == digest(path)


def test_without_a_place_for_the_memory(tmp_path: Path) -> None:
    path = put(tmp_path / "w.safetensors")
    in_the_way = put(tmp_path / "data", b"a file")
    assert sha256_of(path, in_the_way) == digest(path)


def test_the_cache_of_the_hub() -> None:
    home = Path("~").expanduser()
    assert hub_cache({}) == home / ".cache/huggingface/hub"
    assert hub_cache({"XDG_CACHE_HOME": "/x"}) == Path("/x/huggingface/hub")
    assert hub_cache({"HF_HOME": "/h", "XDG_CACHE_HOME": "/x"}) == Path("/h/hub")
    assert hub_cache({"HF_HUB_CACHE": "~/c", "HF_HOME": "/h"}) == home / "c"


def test_the_rows_are_whole() -> None:
    local = {spec.model: spec for spec in BACKENDS.values() if spec.provider == "local"}
    assert {released.model for released in RELEASED} == set(local), (
        "backends/local/released.py and catalogue/backends.py list the same local models"
    )
    assert len({released.sha256 for released in RELEASED}) == len(RELEASED)
    for released in RELEASED:
        assert released.licence in LICENCES
        assert local[released.model].licence == released.licence
        licence = LICENCES[released.licence]
        assert licence.model_page
        if released.gated:  # the terms are accepted on the page that the licence names
            assert licence.model_page == released.page
        assert len(bytes.fromhex(released.sha256)) == 32
        assert released.revision == "main" or len(bytes.fromhex(released.revision)) == 20
    assert rows_of("rmbg-1.4")[0].file == "model.safetensors", "the safest format is fetched"


def test_the_documentation_has_the_rows(root: Path) -> None:
    said = (root / "docs/weights.md").read_text(encoding="utf-8")
    for released in RELEASED:
        licence = LICENCES[released.licence].name
        assert (
            f"| `{released.model}` | {released.repo} | {released.file} | {released.size:,} | "
            f"{released.dtype} | {licence} | `{released.sha256}` |"
        ) in said
        assert released.revision == "main" or released.revision in said


def test_the_plain_host(tmp_path: Path) -> None:
    linux = PlainHost({}, platform="linux", home=tmp_path)
    assert linux.data_folder() == tmp_path / ".local/share/rmbg-nodes"
    assert linux.config_folder() == tmp_path / ".config/rmbg-nodes"
    assert linux.model_folders() == [tmp_path / ".local/share/rmbg-nodes/models"]
    variables = {"XDG_DATA_HOME": str(tmp_path / "d"), "XDG_CONFIG_HOME": "relative"}
    moved = PlainHost(variables, platform="linux")
    assert moved.data_folder() == tmp_path / "d/rmbg-nodes"
    assert moved.config_folder() == Path.home() / ".config/rmbg-nodes"
    mac = PlainHost(variables, platform="darwin", home=tmp_path)
    assert mac.data_folder() == tmp_path / "Library/Application Support/rmbg-nodes"
    windows = PlainHost({"LOCALAPPDATA": str(tmp_path)}, platform="win32", home=tmp_path)
    assert windows.data_folder() == tmp_path / "rmbg-nodes"
    assert windows.config_folder() == tmp_path / "AppData/Roaming/rmbg-nodes"
    several = PlainHost({"RMBG_MODELS": os.pathsep.join(["/a", "", " ~/b "])}, platform="linux")
    assert several.model_folders()[:2] == [Path("/a"), Path.home() / "b"]


def test_the_places_are_listed_once(host: PlainHost, tmp_path: Path) -> None:
    places = search_places(host, ROWS, {"HF_HUB_CACHE": str(tmp_path)})
    assert len(places) == len(set(places)) == 5


def test_looking_imports_no_network_code() -> None:
    root = Path(__file__).resolve().parent.parent
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(root)!r}, 'weights', 'list']\n"
        "try:\n"
        f"    runpy.run_path({str(root)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "clients = ('huggingface_hub', 'requests', 'httpx', 'aiohttp')\n"
        "print([name for name in clients if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"
