"""Another job's answer is never delivered and never kept, whatever a gateway answers."""

# Pins the inside of backends.hosted.codec
# Pins the inside of backends.hosted.jobs.job_runner

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rmbg_nodes.backends.hosted import codec
from rmbg_nodes.backends.hosted.jobs import job_runner
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.core.errors import MayBeBilled, UnusableResult
from rmbg_nodes.core.types import Frame, Ticket
from rmbg_nodes.pipeline.finishing import Done
from rmbg_nodes.pipeline.inputs import Failed
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.hosted.opening import Shop, loopback, opened
from rmbg_nodes.tests.support.hosted.pictures import expected_alpha
from rmbg_nodes.tests.support.hosted.server import JOB_HEADER, HostedServer, Twist
from rmbg_nodes.tests.support.hosted.sockets import talk

Said = dict[str, Any]

BOTH = ("own", "official")
CLIENTS = [("bria", "own"), *((name, client) for name in ("fal", "replicate") for client in BOTH)]


@pytest.fixture(params=CLIENTS, ids="-".join)
def client(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def server(client: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    provider, kind = client
    if kind == "official":
        pytest.importorskip("fal_client" if provider == "fal" else "replicate")
    with loopback(monkeypatch, provider) as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def shop(client: tuple[str, str], server: HostedServer, tmp_path: Path) -> Shop:
    options = {"client": client[1]} if server.provider != "bria" else {}
    return Shop(tmp_path, f"{server.provider}/rmbg-2.0", options=options)


FRAMES = [disc_frame(index, (24, 32)) for index in range(4)]


def check_masks(shop: Shop, results: Mapping[int, Done | Failed]) -> None:
    """What is delivered or kept is the picture's own mask."""
    records, backend = shop.records(), opened(shop.backend_id)
    for index, result in results.items():
        own = expected_alpha(codec.levels_of(FRAMES[index])) / np.float32(255)
        if isinstance(result, Done):
            np.testing.assert_allclose(result.mask.numpy(), own, atol=1e-6)
        work = backend.work(FRAMES[index])
        assert work is not None
        kept = records.cache.get(work)
        assert (kept is not None) is isinstance(result, Done)
        if kept is not None:
            np.testing.assert_allclose(kept.values.numpy(), own, atol=1e-6)
    records.close()


def pending(shop: Shop) -> list[str | None]:
    records = shop.records()
    jobs = records.journal.pending()
    records.close()
    assert not any(job.running for job in jobs)
    return [job.request_id for job in jobs]


def error_of(result: Done | Failed) -> Exception:
    assert isinstance(result, Failed)
    return result.failure.error


def always_first(step: str) -> Twist:
    """A cache that gives the first answer at this step to everybody."""
    kept: list[Said] = []

    async def twist(at: str, said: Said) -> Said:
        if at != step:
            return said
        kept.append(said)
        return dict(kept[0])

    return twist


def test_a_submit_answered_with_a_known_id(server: HostedServer, shop: Shop) -> None:
    """The first job is closed and delivered by the time of the second."""
    server.twist = always_first("submit")
    first = shop.run(FRAMES[:1])
    assert isinstance(first[0], Done)
    second = shop.run(FRAMES[1:2])
    assert isinstance(error_of(second[1]), MayBeBilled)
    assert "another picture's" in str(error_of(second[1]))
    check_masks(shop, first | second)
    assert pending(shop) == [None]
    again = shop.run(FRAMES[:2])
    assert isinstance(again[0], Done)
    assert isinstance(error_of(again[1]), MayBeBilled)
    assert server.bills == 2
    server.twist = None
    paid = shop.run(FRAMES[:2], resubmit=True)
    check_masks(shop, paid)
    assert isinstance(paid[1], Done)
    assert server.bills == 3


def test_submits_at_one_time_that_get_one_id(server: HostedServer, shop: Shop) -> None:
    """A gateway that takes requests to one address for one: whose the job is, nobody knows."""
    waiting = asyncio.Event()
    submits: list[Said] = []

    async def twist(step: str, said: Said) -> Said:
        if step != "submit":
            return said
        submits.append(said)
        if len(submits) == 2:
            waiting.set()
        await waiting.wait()
        return dict(submits[0])

    server.twist = twist
    results = shop.run(FRAMES)
    for result in results.values():
        assert isinstance(error_of(result), MayBeBilled)
    check_masks(shop, results)
    sent = server.bills
    assert pending(shop) == [None] * sent
    server.twist = None
    results = shop.run(FRAMES)
    check_masks(shop, results)
    assert server.bills == len(FRAMES)
    assert sum(isinstance(result, Failed) for result in results.values()) == sent


def test_an_id_whose_own_submit_is_answered_later(server: HostedServer, shop: Shop) -> None:
    """The second picture is told the first one's id, and its job is done, before the first hears
    of it."""
    served = asyncio.Event()
    submits: list[Said] = []

    async def twist(step: str, said: Said) -> Said:
        if step == "submit":
            submits.append(said)
            if len(submits) == 1:
                await served.wait()
                await asyncio.sleep(0.3)
            return dict(submits[0])
        served.set()
        return said

    server.twist = twist
    results = shop.run(FRAMES[:2])
    check_masks(shop, results)
    assert [type(error_of(result)) for result in results.values()] == [MayBeBilled] * 2
    assert pending(shop) == [None, None]
    assert server.bills == 2


def test_an_id_that_comes_again_long_after_is_the_first_ones(
    server: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submit that hangs holds up no other picture; what it brings in the end is refused to it."""
    monkeypatch.setattr(job_runner, "_MAY_MEET", 0.1)
    delivered = asyncio.Event()
    submits: list[Said] = []

    async def twist(step: str, said: Said) -> Said:
        if step == "submit":
            submits.append(said)
            if len(submits) == 1:
                await delivered.wait()
            return dict(submits[1])
        if step in ("result", "status"):
            asyncio.get_running_loop().call_later(1.0, delivered.set)
        return said

    server.twist = twist
    results = shop.run(FRAMES[:2])
    check_masks(shop, results)
    assert sorted(type(result) is Done for result in results.values()) == [False, True]
    (refused,) = (result for result in results.values() if isinstance(result, Failed))
    assert isinstance(refused.failure.error, MayBeBilled)
    assert "another picture's" in str(refused.failure.error)
    assert pending(shop) == [None]
    assert server.bills == 2


def test_a_question_answered_about_another_job(server: HostedServer, shop: Shop) -> None:
    server.twist = always_first("status")
    assert isinstance(shop.run(FRAMES[:1])[0], Done)
    for _ in range(2):  # once more, as a resumed job
        results = shop.run(FRAMES[1:3])
        check_masks(shop, results)
        for result in results.values():
            assert isinstance(error_of(result), UnusableResult)
            assert "another request" in str(error_of(result))
    assert sorted(map(str, pending(shop))) == sorted(list(server.jobs)[1:])
    server.twist = None
    results = shop.run(FRAMES)
    check_masks(shop, results)
    assert all(isinstance(result, Done) for result in results.values())
    assert server.bills == len(FRAMES)


def test_a_result_in_another_jobs_file(server: HostedServer, shop: Shop) -> None:
    """Every answer is about the right job, and its file is the first one's."""
    files: list[str] = []

    async def twist(step: str, said: Said) -> Said:
        text = json.dumps(said)
        for job in server.jobs:
            file = f"{server.url}/files/{job}.png"
            if file in text:
                files.append(file)
                text = text.replace(file, files[0])
        twisted: Said = json.loads(text)
        return twisted

    server.twist = twist
    assert isinstance(shop.run(FRAMES[:1])[0], Done)
    results = shop.run(FRAMES[1:2])
    assert isinstance(error_of(results[1]), UnusableResult)
    check_masks(shop, results)
    server.twist = None
    assert isinstance(shop.run(FRAMES[1:2])[1], Done)
    assert server.bills == 2


def test_other_spellings_of_the_same_id_are_no_alarm(server: HostedServer, shop: Shop) -> None:
    async def twist(step: str, said: Said) -> Said:
        for key in ("id", "request_id"):
            if step != "submit" and key in said:
                said[key] = f" %{ord(said[key][0]):02X}{said[key][1:].upper()}"
        if step in ("status", "submit"):
            said[JOB_HEADER] = "of the call, not of the job"
        return said

    server.twist = twist
    results = shop.run(FRAMES[:2])
    check_masks(shop, results)
    assert all(isinstance(result, Done) for result in results.values())


def test_addresses_of_another_job_are_not_asked(server: HostedServer, shop: Shop) -> None:
    """The submit names the right id and the first job's addresses."""
    kept: list[str] = []

    async def twist(step: str, said: Said) -> Said:
        if step != "submit":
            return said
        key = "request_id" if "request_id" in said else "id"
        kept.append(said[key])
        twisted = json.loads(json.dumps(said).replace(said[key], kept[0]))
        return {**twisted, key: said[key]}

    server.twist = twist
    for index in range(2):
        results = shop.run(FRAMES[index : index + 1])
        assert isinstance(results[index], Done)
        check_masks(shop, results)


@pytest.mark.parametrize("client", CLIENTS[1:3], ids="-".join)
def test_a_result_of_fal_names_its_job_in_a_header(server: HostedServer, shop: Shop) -> None:
    async def twist(step: str, said: Said) -> Said:
        return {**said, JOB_HEADER: "00000000-another"} if step == "result" else said

    server.twist = twist
    (result,) = shop.run(FRAMES[:1]).values()
    assert isinstance(error_of(result), UnusableResult)
    assert pending(shop) == list(server.jobs)
    server.twist = None
    assert isinstance(shop.run(FRAMES[:1])[0], Done)


def as_uri(frame: Frame) -> str:
    png = codec.encode_png(codec.levels_of(frame), lambda: False)
    return "data:image/png;base64," + base64.b64encode(png).decode()


@pytest.mark.parametrize("client", CLIENTS[3:], ids="-".join)
def test_an_input_that_replicate_repeats(server: HostedServer, shop: Shop) -> None:
    """Another picture at a poll is kept for later, after a restart too; at a submit it is lost."""
    repeated = as_uri(FRAMES[3])

    async def twist(step: str, said: Said) -> Said:
        return {**said, "input": {"image": repeated}} if step in steps else said

    server.twist = twist
    steps = ["status"]
    for _ in range(2):
        (result,) = shop.run(FRAMES[:1]).values()
        assert isinstance(error_of(result), UnusableResult)
    assert pending(shop) == list(server.jobs)
    for harmless in (
        as_uri(FRAMES[0]),
        as_uri(FRAMES[3])[:-40] + "...",
        "https://replicate.delivery/pbxt/copy/picture.png",
        "",
    ):
        repeated = harmless
        results = shop.run(FRAMES[:1])
        assert isinstance(results[0], Done)
        check_masks(shop, results)
        shop = replace(shop, folder=shop.folder / "next")
    steps, repeated = ["submit"], as_uri(FRAMES[3])
    (result,) = shop.run(FRAMES[1:2]).values()
    assert isinstance(error_of(result), MayBeBilled)
    assert pending(shop) == [None]


@pytest.mark.parametrize("client", CLIENTS[1::2], ids="-".join)
def test_a_cancel_answered_about_another_job_frees_nothing(server: HostedServer) -> None:
    spec = BACKENDS[f"{server.provider}/rmbg-2.0"]

    async def twist(step: str, said: Said) -> Said:
        return {**said, "status": "aborted", "id": "other", "request_id": "other"}

    server.records.queue_seconds = 60
    job = server.records.accept(server.key, codec.levels_of(FRAMES[0]))
    server.twist = twist
    with pytest.raises(UnusableResult, match="another request"):
        talk(spec, server, lambda own, wire: own.cancel(wire, Ticket(spec.id, job.id)))
