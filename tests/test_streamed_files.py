"""Files on their way to a host and back: in pieces, and only as they were."""

# Pins the inside of backends.hosted.streamed_files
# Pins the inside of backends.hosted.video_container
# Pins the inside of records.cache

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rmbg_nodes.backends.hosted.streamed_files import FilePieces, FileSink
from rmbg_nodes.backends.hosted.video_container import container_of
from rmbg_nodes.core.types import Clip, Facts
from rmbg_nodes.records.cache import ResultCache
from rmbg_nodes.tests.support.hosted.videos import answer_video, small_video

FACTS = Facts("fal/video", "video", "fal-api", "fal's servers", 1.5, Decimal("0.042"))
MB = 1 << 20


async def at_once(function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    return function(*args, **more)


async def read(pieces: FilePieces) -> list[int]:
    return [len(piece) async for piece in pieces]


def test_a_file_is_read_in_small_pieces_from_its_beginning_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * (3 * MB + 5))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    pieces = FilePieces(path, 3 * MB + 5, digest, at_once)
    for _ in range(2):
        assert asyncio.run(read(pieces)) == [MB, MB, MB, 5]


@pytest.mark.parametrize("change", ["shorter", "other bytes"])
def test_a_file_that_was_changed_is_not_sent_to_its_end(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * (2 * MB))
    pieces = FilePieces(path, 2 * MB, hashlib.sha256(path.read_bytes()).hexdigest(), at_once)
    path.write_bytes(b"x" * MB if change == "shorter" else b"x" * (2 * MB - 1) + b"y")
    with pytest.raises(OSError, match="was changed"):
        asyncio.run(read(pieces))


def test_a_sink_forgets_what_an_earlier_attempt_wrote(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a", at_once)

    async def filled() -> None:
        for body in (b"half of what was not wanted", b"the answer"):
            await sink.begin()
            await sink.write(body)
        await sink.close()

    asyncio.run(filled())
    assert (tmp_path / "a").read_bytes() == b"the answer"
    assert sink.size == 10
    assert sink.sha256 == hashlib.sha256(b"the answer").hexdigest()
    assert (tmp_path / "a").stat().st_mode & 0o77 == 0


def kept(cache: ResultCache, work: str, data: bytes) -> bool:
    path = cache.place(work)
    path.write_bytes(data)
    return cache.put_clip(work, Clip(path, len(data), hashlib.sha256(data).hexdigest(), FACTS))


def test_the_cache_gives_a_video_back_and_counts_it(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, MB)
    assert cache.get_clip("fal/video:1") is None
    assert kept(cache, "fal/video:1", b"v" * 1000)
    clip = cache.get_clip("fal/video:1")
    assert clip is not None
    assert clip.path.read_bytes()[: clip.size] == b"v" * 1000
    assert clip.facts.cost == 0
    assert cache.get_clip("fal/video:2") is None
    assert cache.info().entries == 1
    assert not kept(cache, "fal/video:3", b"v" * (2 * MB))
    for number in range(10, 20):  # older ones go
        assert kept(cache, f"fal/video:{number}", b"v" * (300 * 1024))
    assert cache.info().bytes <= MB


def test_every_byte_of_a_kept_video_is_checked(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, MB)
    work = "fal/video:1"
    assert kept(cache, work, b"v" * 100)
    (entry,) = (path for path in tmp_path.rglob("*") if path.is_file())
    whole = entry.read_bytes()
    for at in range(len(whole)):
        entry.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert cache.get_clip(work) is None
    for end in (0, 10, len(whole) - 1):
        entry.write_bytes(whole[:end])
        assert cache.get_clip(work) is None
    entry.write_bytes(whole)
    assert cache.get_clip(work) is not None
    assert cache.get_clip("fal/video:2") is None


def suffix_of(data: bytes) -> str | None:
    kind = container_of(data[:4096])
    return kind.suffix if kind else None


def test_containers_are_told_by_their_bytes(tmp_path: Path) -> None:
    shape: dict[str, Any] = {"frames": 2, "width": 16, "height": 16}
    assert suffix_of(small_video(tmp_path / "a", **shape).read_bytes()) == ".mp4"
    assert suffix_of(answer_video("webm_vp9", **shape)) == ".webm"
    assert suffix_of(answer_video("mkv_vp9", **shape)) == ".mkv"
    assert suffix_of(answer_video("mov_proresks", **shape)) == ".mov"
    for other in (b"", b"<html>", b"\x89PNG\r\n\x1a\n", b"\0\0\0 ftypavif", b"ID3\x04" + bytes(99)):
        assert suffix_of(other) is None
