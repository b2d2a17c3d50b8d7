"""Fetching weights, from a loopback server that plays the Hub."""

# Pins the inside of backends.local.released
# Pins the inside of backends.local.verify
# Pins the inside of backends.local.weights

from __future__ import annotations

import errno
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rmbg_nodes.backends.local.released import RELEASED, Released, rows_of
from rmbg_nodes.backends.local.verify import remembered
from rmbg_nodes.backends.local.weights import fetch
from rmbg_nodes.core.errors import (
    BackendMissing,
    Cancelled,
    KeyMissing,
    LicenceRefused,
    Offline,
    Refusal,
    WeightsMissing,
    WeightsUnusable,
)
from rmbg_nodes.tests.support.hub import Hub, serving

pytest.importorskip("huggingface_hub")

CONTENT = bytes(range(256)) * 800
TOKEN = "hf_onlyfortests"
ROW = Released(
    model="rmbg-2.0",
    repo="briaai/RMBG-2.0",
    file="model.safetensors",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="bria-rmbg-2.0",
    dtype="float32",
    revision="a" * 40,
)
PATH = f"/{ROW.repo}/resolve/{ROW.revision}/{ROW.file}"


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(content=CONTENT, path=PATH) as running:
        yield running


def get(hub: Hub, tmp_path: Path, row: Released = ROW, **changed: Any) -> Path:
    usual: dict[str, Any] = {"accepted": True, "offline": False, "endpoint": hub.url}
    return fetch(row, tmp_path / "models", tmp_path / "data", **(usual | changed))


def refused(kind: type[Refusal], hub: Hub, tmp_path: Path, **changed: Any) -> str:
    with pytest.raises(kind) as caught:
        get(hub, tmp_path, **changed)
    said = str(caught.value)
    assert len(said) < 500
    assert "Traceback" not in said
    return said


def left(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "models").rglob("*") if path.is_file()]


def test_it_is_fetched_verified_and_remembered(hub: Hub, tmp_path: Path) -> None:
    path = get(hub, tmp_path)
    assert path == tmp_path / "models" / "RMBG-2.0" / "model.safetensors"
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == ["model.safetensors"]
    assert remembered(path, tmp_path / "data") == ROW.sha256
    assert [request[1] for request in hub.requests] == [PATH, PATH]


def test_a_file_in_a_folder_of_its_repository(tmp_path: Path) -> None:
    row = replace(ROW, repo="Comfy-Org/BiRefNet", file="background_removal/x.st", title="Lucida")
    with serving(content=CONTENT, path=f"/{row.repo}/resolve/{row.revision}/{row.file}") as hub:
        path = get(hub, tmp_path, row)
    assert path == tmp_path / "models" / "Lucida" / "x.st"
    assert left(tmp_path) == ["x.st"]


def test_what_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path)
    before = len(hub.requests)
    get(hub, tmp_path, offline=True)
    assert len(hub.requests) == before


def test_another_file_in_its_place_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "models" / "RMBG-2.0" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    assert "Move it away" in refused(WeightsUnusable, hub, tmp_path)
    assert path.read_bytes() == b"mine"
    assert hub.requests == []


def test_a_dropped_connection_goes_on(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.drop_after, hub.drops = 70_000, 1
    assert get(hub, tmp_path).read_bytes() == CONTENT
    assert hub.requests[-1][3] == "bytes=70000-"


def test_a_stopped_download_goes_on_in_the_next_run(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    pieces = iter(range(3))

    def stop() -> None:
        if next(pieces, None) is None:
            raise Cancelled("Stopped by the user.")

    with pytest.raises(Cancelled):
        get(hub, tmp_path, check=stop)
    assert left(tmp_path) == [f"model.safetensors.{ROW.sha256[:12]}.part"]
    hub.requests.clear()
    assert get(hub, tmp_path).read_bytes() == CONTENT
    assert [request[3] for request in hub.requests] == [None, "bytes=30000-"]
    assert left(tmp_path) == ["model.safetensors"]


def test_a_partial_file_longer_than_the_whole_is_begun_again(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "models" / "RMBG-2.0" / f"model.safetensors.{ROW.sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT + b"more")
    assert get(hub, tmp_path).read_bytes() == CONTENT


def test_a_file_that_ends_early(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.drop_after, hub.drops = 0, 1000
    said = refused(WeightsMissing, hub, tmp_path)
    assert "run the same command again" in said
    assert str(tmp_path / "models" / "RMBG-2.0") in said


def test_an_answer_that_is_shorter_than_promised_by_the_row(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[:-1]
    said = refused(WeightsUnusable, hub, tmp_path)
    assert "nothing was downloaded" in said
    assert left(tmp_path) == []


def test_a_wrong_hash_is_deleted_and_said(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[::-1]
    hub.promised = ROW.sha256  # a mirror that promises the right file and sends another
    said = refused(WeightsUnusable, hub, tmp_path)
    assert "sha256" in said
    assert left(tmp_path) == []


def test_a_file_that_has_changed_on_the_hub_is_not_downloaded(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[::-1]
    assert "Update rmbg-nodes" in refused(WeightsUnusable, hub, tmp_path)
    assert [request[0] for request in hub.requests] == ["HEAD"]


def test_without_a_token_the_page_and_the_variable_are_named(hub: Hub, tmp_path: Path) -> None:
    hub.token = TOKEN
    said = refused(KeyMissing, hub, tmp_path)
    for word in ("https://huggingface.co/briaai/RMBG-2.0", "HF_TOKEN", "RMBG-2.0.", "401"):
        assert word in said


def test_the_token_is_taken_and_never_said(hub: Hub, tmp_path: Path, monkeypatch, capfd) -> None:
    hub.token = TOKEN
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\n")
    get(hub, tmp_path)
    assert {request[2] for request in hub.requests} == {f"Bearer {TOKEN}"}
    hub.status, hub.code = 403, "GatedRepo"
    (tmp_path / "models" / "RMBG-2.0" / "model.safetensors").unlink()
    said = refused(KeyMissing, hub, tmp_path)
    assert "does not let this account" in said
    out = capfd.readouterr()
    assert TOKEN not in said + out.out + out.err


def test_the_token_stays_with_the_hub(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving(content=CONTENT, path=PATH) as cdn:
        hub.cdn = cdn.url.replace("127.0.0.1", "localhost")
        assert get(hub, tmp_path).read_bytes() == CONTENT
    assert {request[2] for request in hub.requests} == {f"Bearer {TOKEN}"}
    assert [request[:3] for request in cdn.requests] == [("GET", PATH, None)]


def test_a_token_that_cannot_be_sent(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ä")
    said = refused(KeyMissing, hub, tmp_path)
    assert "Copy the key anew" in said
    assert "hf_ä" not in said


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, KeyMissing, "accept the terms"),
        (404, WeightsMissing, "no such file"),
        (429, WeightsMissing, "try again in some minutes"),
        (500, WeightsMissing, "again"),
    ],
)
def test_what_the_hub_says(hub: Hub, tmp_path: Path, monkeypatch, status, kind, words) -> None:
    hub.status = status
    said = refused(kind, hub, tmp_path)
    assert words in said
    assert "https://huggingface.co/briaai/RMBG-2.0" in said
    assert left(tmp_path) == []


def test_nobody_answers(hub: Hub, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        said = refused(WeightsMissing, hub, tmp_path, endpoint=url)
    assert "could not be reached" in said


def test_the_disk_has_no_room(hub: Hub, tmp_path: Path) -> None:
    said = refused(WeightsMissing, hub, tmp_path, free_space=lambda folder: ROW.size - 1)
    assert "--to" in said
    assert hub.requests == []
    part = tmp_path / "models" / "RMBG-2.0" / f"model.safetensors.{ROW.sha256[:12]}.part"
    part.write_bytes(CONTENT[:1000])
    get(hub, tmp_path, free_space=lambda folder: ROW.size - 1000)


def test_the_disk_is_full_half_way(hub: Hub, tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    said = refused(WeightsMissing, hub, tmp_path, check=full)
    assert "is full" in said


def test_a_folder_that_cannot_be_written_to(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir(mode=0o500)
    if os.access(tmp_path / "models", os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "cannot be written to" in refused(WeightsMissing, hub, tmp_path)


def test_a_file_in_the_place_of_the_folder(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    assert "cannot be written to" in refused(WeightsMissing, hub, tmp_path)


def test_nothing_is_sent_unaccepted_or_offline(hub: Hub, tmp_path: Path) -> None:
    said = refused(LicenceRefused, hub, tmp_path, accepted=False)
    for word in ("CC BY-NC 4.0", "non-commercial", "--accept-license", "creativecommons.org"):
        assert word in said
    assert "RMBG_OFFLINE" in refused(Offline, hub, tmp_path, offline=True)
    assert hub.requests == []


def test_the_clients_own_offline_switch(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(Offline, hub, tmp_path)


def test_without_the_client(hub: Hub, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    said = refused(BackendMissing, hub, tmp_path)
    assert "pip install huggingface_hub" in said
    assert "browser" in said


def test_the_command_asks_the_hub_for_the_pinned_file(tmp_path: Path) -> None:
    row = rows_of("birefnet")[0]
    assert row in RELEASED
    with serving(path="/elsewhere") as hub:
        result = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).resolve().parent.parent),
                *("weights", "get", "birefnet", "--accept-license", "--to", str(tmp_path)),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_TELEMETRY": "1"},
            check=False,
        )
    assert result.returncode == 2, result.stderr
    assert "no such file" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {request[1] for request in hub.requests} == {
        f"/{row.repo}/resolve/{row.revision}/{row.file}"
    }
