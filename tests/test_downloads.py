"""Downloads that somebody watches: progress, Cancel, resumption, one for all who ask."""

# Pins the inside of backends.local.downloads
# Pins the inside of backends.local.released
# Pins the inside of records.locks

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.backends.local.downloads import Download, Downloads, Progress
from rmbg_nodes.backends.local.released import Released
from rmbg_nodes.core.errors import Cancelled, WeightsMissing
from rmbg_nodes.records.locks import exclusive
from rmbg_nodes.tests.support.hub import Hub, serving

pytest.importorskip("huggingface_hub")

CONTENT = bytes(range(256)) * 100_000
HALF = len(CONTENT) // 2
ROW = Released(
    model="birefnet",
    repo="ZhengPeng7/BiRefNet",
    file="model.safetensors",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="birefnet-mit",
    dtype="float32",
    revision="a" * 40,
)


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub() -> Iterator[Hub]:
    path = f"/{ROW.repo}/resolve/{ROW.revision}/{ROW.file}"
    with serving(content=CONTENT, path=path) as running:
        yield running
        running.go.set()


def start(downloads: Downloads, hub: Hub, tmp_path: Path, *, offline: bool = False) -> Download:
    folders = tmp_path / "models", tmp_path / "data"
    return downloads.start(ROW, *folders, offline=offline, endpoint=hub.url)


def ended(download: Download) -> Progress:
    assert download.wait(30)
    return download.progress


def test_the_file_is_there_and_the_progress_whole(hub: Hub, tmp_path: Path) -> None:
    downloads = Downloads()
    progress = ended(start(downloads, hub, tmp_path))
    assert (progress.state, progress.arrived, progress.size) == ("done", ROW.size, ROW.size)
    assert (tmp_path / "models" / "BiRefNet" / ROW.file).read_bytes() == CONTENT


def until_half(download: Download) -> None:
    until = time.monotonic() + 30
    while download.progress.arrived < HALF - 10_000_000 and time.monotonic() < until:
        time.sleep(0.01)
    assert download.progress.state == "running"


def test_two_that_ask_share_one_download(hub: Hub, tmp_path: Path) -> None:
    hub.pause_after = HALF
    downloads = Downloads()
    first = start(downloads, hub, tmp_path)
    assert start(downloads, hub, tmp_path) is first
    hub.go.set()
    assert ended(first).state == "done"
    assert [request[0] for request in hub.requests].count("GET") == 1


def test_a_stopped_download_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.pause_after = HALF
    downloads = Downloads()
    first = start(downloads, hub, tmp_path)
    until_half(first)
    assert first.progress.speed > 0
    first.stop()
    hub.go.set()
    stopped = ended(first)
    assert stopped.state == "stopped"
    assert 0 < stopped.arrived < ROW.size
    assert stopped.speed == 0
    hub.pause_after = 0
    assert ended(start(downloads, hub, tmp_path)).state == "done"
    (asked,) = [request[3] for request in hub.requests if request[0] == "GET" and request[3]]
    assert asked == f"bytes={stopped.arrived}-"


def test_another_program_that_downloads_it_is_waited_for_by_the_user(
    hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    with exclusive(tmp_path / "data" / f"download-{ROW.sha256[:12]}.lock", 0):
        progress = ended(start(Downloads(), hub, tmp_path))
    assert progress.state == "failed"
    assert "being downloaded by another program" in progress.words
    assert hub.requests == []


def test_why_it_failed_is_said(hub: Hub, tmp_path: Path) -> None:
    hub.status = 403
    progress = ended(start(Downloads(), hub, tmp_path))
    assert progress.state == "failed"
    assert "does not let this account have it" in progress.words
    assert "RMBG_OFFLINE" in ended(start(Downloads(), hub, tmp_path, offline=True)).words


def test_who_waits_for_it_is_told_why_it_ended(hub: Hub, tmp_path: Path) -> None:
    downloads = Downloads()
    hub.pause_after = HALF
    stopped = start(downloads, hub, tmp_path)
    stopped.stop()
    hub.go.set()
    ended(stopped)
    with pytest.raises(Cancelled, match="what has arrived is kept"):
        stopped.check_end()
    hub.pause_after, hub.status = 0, 404
    failed = start(downloads, hub, tmp_path)
    ended(failed)
    with pytest.raises(WeightsMissing, match="status 404"):
        failed.check_end()
    hub.status = 200
    done = start(downloads, hub, tmp_path)
    ended(done)
    done.check_end()
