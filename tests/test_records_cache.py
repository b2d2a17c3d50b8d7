"""The cache of paid results: the same bits back, damage is a miss, the least recently used go."""

# Pins the inside of records.cache
# Pins the inside of records.entry
# Pins the inside of records.eviction

from __future__ import annotations

import errno
import os
import sys
import threading
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from rmbg_nodes.core.types import Matte
from rmbg_nodes.records.cache import ResultCache
from rmbg_nodes.records.entry import decode_grey, encode_grey
from rmbg_nodes.records.eviction import UNFINISHED
from rmbg_nodes.tests.support.records import WORK, levels, matte, start

PLENTY = 10_000_000


@pytest.fixture
def cache(tmp_path: Path) -> ResultCache:
    return ResultCache(tmp_path, PLENTY)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def only_file(folder: Path) -> Path:
    (path,) = files(folder)
    return path


def special() -> torch.Tensor:
    values = torch.tensor([[0.0, -0.0, 1e-45, float("nan")], [float("inf"), -3.5, 0.3, 1.0]])
    return values.repeat(8, 9)


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (levels(255), "png8"),
        (levels(65535), "png16"),
        (torch.rand(30, 40, generator=torch.Generator().manual_seed(1)), "npy"),
        (special(), "npy"),
        (torch.zeros(1, 1), "png8"),
        (torch.ones(1, 7), "png8"),
        (levels(255)[::2, 1::3], "png8"),
        (levels(255) + 1e-7, "npy"),  # almost is not enough: the same bits come back
        (torch.full((2, 2), -0.0), "npy"),
    ],
)
def test_values_come_back_bit_for_bit(
    cache: ResultCache, tmp_path: Path, values: torch.Tensor, form: str
) -> None:
    assert cache.put(WORK, matte(values))
    back = cache.get(WORK)
    assert back is not None
    assert back.values.dtype == torch.float32
    assert torch.equal(back.values.view(torch.int32), values.contiguous().view(torch.int32))
    assert f'"form": "{form}"'.encode() in only_file(tmp_path).read_bytes()


def test_eight_bits_are_small(cache: ResultCache) -> None:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 512), torch.linspace(-1, 1, 512), indexing="ij")
    alpha = ((0.7 - (x * x + y * y).sqrt()) * 20).sigmoid().mul(255).round().div(255)
    assert cache.put(WORK, matte(alpha))
    assert cache.info().bytes < 512 * 512 / 4


@pytest.mark.parametrize("top", [255, 65535])
def test_the_png_is_one_that_others_read(top: int) -> None:
    from io import BytesIO

    from PIL import Image

    whole = (levels(top) * top).round().numpy().astype(np.uint8 if top == 255 else np.uint16)
    png = encode_grey(whole)
    with Image.open(BytesIO(png)) as picture:
        assert np.array_equal(np.asarray(picture), whole)
    assert np.array_equal(decode_grey(png), whole)


def test_a_foreign_png_is_not_read() -> None:
    for png in (b"", b"\x89PNG\r\n\x1a\n", encode_grey(np.zeros((4, 4), np.uint8))[:-30]):
        with pytest.raises(ValueError, match="not a PNG of this package"):
            decode_grey(png)


def test_facts_say_that_it_was_paid_then(cache: ResultCache) -> None:
    stored = matte(levels(255), original=b"the provider's own file")
    cache.put(WORK, stored)
    back = cache.get(WORK)
    assert back is not None
    facts = back.facts
    assert (facts.cost, facts.device, facts.seconds, facts.left_machine) == (
        Decimal(0),
        "cache",
        0.0,
        False,
    )
    assert (facts.backend, facts.model, facts.licence) == ("fal/rmbg-2.0", "RMBG-2.0", "fal-api")
    assert (facts.currency, facts.weights_sha256, facts.request_id) == ("USD", None, "req-1")
    assert facts.notes[0] == "said by the provider"
    assert facts.notes[1].startswith("from the cache: delivered by fal/rmbg-2.0 on 20")
    assert facts.notes[1].endswith(" under request req-1, paid then")
    assert (back.kind, back.original) == ("alpha", b"the provider's own file")
    assert b'"cost": "0.018"' in only_file(cache.info().folder).read_bytes()


@pytest.mark.parametrize("original", [None, b""])
def test_no_original_is_not_an_empty_one(cache: ResultCache, original: bytes | None) -> None:
    cache.put(WORK, matte(levels(255), original=original))
    back = cache.get(WORK)
    assert back is not None
    assert back.original == original


@pytest.mark.parametrize("top", [255, 65535, None])
def test_every_damage_is_a_miss(cache: ResultCache, tmp_path: Path, top: int | None) -> None:
    values = levels(top, shape=(5, 6)) if top else torch.rand(5, 6)
    cache.put(WORK, matte(values, original=b"original"))
    path = only_file(tmp_path)
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        damaged.append(bytes(flipped))
    damaged += [whole + b"x", b"\0" * len(whole), whole[::-1]]
    for content in damaged:
        path.write_bytes(content)
        assert cache.get(WORK) is None
        assert not path.exists()
    path.write_bytes(whole)
    assert cache.get(WORK) is not None


def test_the_file_of_another_picture_is_a_miss(cache: ResultCache, tmp_path: Path) -> None:
    cache.put(WORK, matte(levels(255)))
    (tmp_path / "other").mkdir()
    other = ResultCache(tmp_path / "other", PLENTY)
    other.put("fal/rmbg-2.0:b2", matte(levels(255, seed=2)))
    content = only_file(tmp_path / "other").read_bytes()
    next(path for path in files(tmp_path) if "other" not in path.parts).write_bytes(content)
    assert cache.get(WORK) is None
    assert other.get("fal/rmbg-2.0:b2") is not None


def test_off_keeps_and_finds_nothing(cache: ResultCache, tmp_path: Path) -> None:
    cache.put(WORK, matte(levels(255)))
    off = ResultCache(tmp_path, 0)
    assert off.get(WORK) is None
    assert not off.put("fal/rmbg-2.0:b2", matte(levels(255)))
    assert off.info().entries == 1
    assert ResultCache(tmp_path / "new", 0).put(WORK, matte(levels(255))) is False
    assert not (tmp_path / "new").exists()


def test_empty_is_what_nothing_can_be_found_in(cache: ResultCache, tmp_path: Path) -> None:
    assert cache.empty
    cache.put(WORK, matte(levels(255)))
    assert not cache.empty
    assert ResultCache(tmp_path, 0).empty
    only_file(tmp_path).rename(tmp_path / "half.tmp")
    assert cache.empty


def entry_bytes(folder: Path) -> int:
    """All entries of these tests are of this size, give or take a few bytes of zlib."""
    probe = ResultCache(folder, PLENTY)
    probe.put(WORK, noise(0))
    return probe.info().bytes


def noise(seed: int) -> Matte:
    return matte(torch.rand(20, 20, generator=torch.Generator().manual_seed(seed)))


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    size = entry_bytes(tmp_path / "probe")
    cache = ResultCache(tmp_path / "cache", 3 * size + 20)
    works = [f"fal/rmbg-2.0:{number:02}" for number in range(200)]
    for number in range(3):
        assert cache.put(works[number], noise(number))
        os.utime(cache._path(works[number]), (number + 1, number + 1))
    assert cache.get(works[0]) is not None  # used: now 1 is the oldest
    assert cache.put(works[3], noise(3))
    assert cache.get(works[1]) is None
    for number in (0, 2, 3):
        assert cache.get(works[number]) is not None
    for number in range(4, 200):  # past several looks at the disk
        assert cache.put(works[number], noise(number))
        assert cache._path(works[number]).exists()
        assert cache.info().bytes <= 3 * size + 20
    assert cache.info().entries == 3


def test_a_result_that_is_written_again_is_counted_once(tmp_path: Path) -> None:
    size = entry_bytes(tmp_path / "probe")
    cache = ResultCache(tmp_path / "cache", 3 * size + 20)
    works = [f"fal/rmbg-2.0:{number:02}" for number in range(3)]
    for work in (*works, *[works[2]] * 20):
        assert cache.put(work, noise(1))
    assert all(cache.get(work) for work in works)


def test_what_was_just_written_stays_even_if_the_clock_went_back(tmp_path: Path) -> None:
    size = entry_bytes(tmp_path / "probe")
    cache = ResultCache(tmp_path / "cache", 2 * size + 20)
    for number in range(2):
        cache.put(f"fal/rmbg-2.0:{number:02}", noise(number))
    for path in files(tmp_path / "cache"):
        os.utime(path, (4e9, 4e9))
    again = ResultCache(tmp_path / "cache", 2 * size + 20)
    assert again.put("fal/rmbg-2.0:02", noise(2))
    assert again.get("fal/rmbg-2.0:02") is not None
    assert again.info().entries == 2


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    size = entry_bytes(tmp_path / "probe")
    cache = ResultCache(tmp_path / "cache", size + 20)
    assert cache.put(WORK, noise(1))
    assert not cache.put("fal/rmbg-2.0:b2", matte(torch.rand(200, 200)))
    assert cache.get(WORK) is not None


def test_the_room_that_others_took_is_noticed(tmp_path: Path) -> None:
    size = entry_bytes(tmp_path / "probe")
    first, second = (ResultCache(tmp_path / "cache", 5 * size + 20) for _ in range(2))
    for number in range(150):
        cache = (first, second)[number % 2]
        assert cache.put(f"fal/rmbg-2.0:{number:03}", noise(number))
        assert cache.get(f"fal/rmbg-2.0:{number:03}") is not None
    assert first.info().bytes <= 10 * size + 40


def test_leavings_of_a_killed_process_are_removed(cache: ResultCache, tmp_path: Path) -> None:
    cache.put(WORK, matte(levels(255)))
    path = only_file(tmp_path)
    old = path.with_name(f"{path.name}.1{UNFINISHED}")
    fresh = path.with_name(f"{path.name}.2{UNFINISHED}")
    old.touch()
    fresh.touch()
    os.utime(old, (1, 1))
    again = ResultCache(tmp_path, PLENTY)
    assert again.info().entries == 1
    again.put("fal/rmbg-2.0:b2", matte(levels(255)))
    assert not old.exists()
    assert fresh.exists()
    assert again.get(WORK) is not None


@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
def test_a_full_disk_is_told(
    cache: ResultCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache.put(WORK, matte(levels(255)))
    monkeypatch.setattr(os, call, full)
    assert cache.put("fal/rmbg-2.0:b2", matte(levels(255))) is False
    monkeypatch.undo()
    assert cache.get("fal/rmbg-2.0:b2") is None
    assert len(files(tmp_path)) == 1


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = ResultCache(tmp_path / "file" / "results", PLENTY)
    assert cache.put(WORK, matte(levels(255))) is False
    assert cache.get(WORK) is None
    assert cache.clear() == cache.info().entries == 0


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_only_the_user_reads_a_result(cache: ResultCache, tmp_path: Path) -> None:
    cache.put(WORK, matte(levels(255)))
    assert only_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_threads_at_the_same_results(tmp_path: Path) -> None:
    size = entry_bytes(tmp_path / "probe")
    cache = ResultCache(tmp_path / "cache", 4 * size + 20)
    wrong: list[object] = []

    def use(thread: int) -> None:
        for step in range(50):
            number = (thread + step) % 8
            if not cache.put(f"fal/rmbg-2.0:{number}", noise(number)):
                wrong.append("not kept")
            back = cache.get(f"fal/rmbg-2.0:{(number + 1) % 8}")
            if back is not None and not torch.equal(back.values, noise((number + 1) % 8).values):
                wrong.append("not the same")

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_processes_clear_together(cache: ResultCache, tmp_path: Path) -> None:
    for number in range(300):
        path = cache._path(str(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    code = """
from rmbg_nodes.records.cache import ResultCache
cache = ResultCache(folder, 10**7)
print("ready", flush=True)
sys.stdin.readline()
print(cache.clear())
"""
    processes = [start(code, tmp_path) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert [err for _, err in answers] == ["", ""]
    assert sum(int(out) for out, _ in answers) == 300
    assert cache.info().entries == 0


def test_nothing_secret_is_in_a_file(cache: ResultCache, tmp_path: Path) -> None:
    cache.put(WORK, matte(levels(255)))
    content = only_file(tmp_path).read_bytes()
    assert str(tmp_path).encode() not in content
