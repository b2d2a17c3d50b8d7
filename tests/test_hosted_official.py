"""The providers' SDKs: what they say on the wire beside what we say, how they fail on their own,
and `client="official"`, where they run over our wire."""

# Pins the inside of backends.hosted.http.wire
# Pins the inside of backends.hosted.providers.official

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
import requests
from PIL import Image

from rmbg_nodes.backends.hosted.http.wire import AnswerLost, NotKnown, NotSent, Unreachable
from rmbg_nodes.catalogue.hosted_models import ROWS
from rmbg_nodes.config.hosted import bases_of, hosting_of
from rmbg_nodes.core.errors import (
    AccountRefused,
    BackendFailed,
    BackendMissing,
    BadPicture,
    KeyMissing,
    Offline,
    ResultWaiting,
)
from rmbg_nodes.core.specs import BackendSpec
from rmbg_nodes.core.types import Ticket
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import words_for
from rmbg_nodes.tests.support.hosted.pictures import expected_alpha, to_png
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.hosted.sockets import Sockets, life_of, talk

fal_client = pytest.importorskip("fal_client")
replicate_client = pytest.importorskip("replicate.client")

from fal_client.client import BackupDomainTransport, StorageSettings  # noqa: E402

from rmbg_nodes.backends.hosted.providers.official import OFFICIAL  # noqa: E402

T = TypeVar("T")

SPECS = {spec.id: spec for spec in ROWS}
LEVELS = np.random.default_rng(5).integers(0, 256, (20, 27, 3), dtype=np.uint8)
PNG = to_png(LEVELS)
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
HOSTED_IDS = ("fal/rmbg-2.0", "fal/rmbg-3.0", "fal/rmbg-guided", "replicate/rmbg-2.0")


def uploading(spec: BackendSpec) -> BackendSpec:
    """The row with nothing travelling inside the request."""
    return replace(spec, hosting=replace(hosting_of(spec), inline_bytes=10))


# The SDKs as their makers ship them --------------------------------------------------------------


class Loopback(httpx.HTTPTransport):
    """The network of a bare SDK: its official hosts are the loopback server."""

    def __init__(self, server: HostedServer) -> None:
        super().__init__()
        self._server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        prefix = {"queue.fal.run": "/queue", "rest.fal.ai": "/rest"}.get(request.url.host)
        if prefix is not None:
            here = httpx.URL(self._server.url + prefix + request.url.raw_path.decode())
            request = httpx.Request(
                request.method, here, headers=request.headers, stream=request.stream,
                extensions=request.extensions,
            )  # fmt: skip
        return super().handle_request(request)


def bare_fal(server: HostedServer) -> Any:
    """fal-client with nothing changed but its network."""
    client = fal_client.SyncClient(key=server.key)
    vars(client)["_client"] = httpx.Client(
        transport=BackupDomainTransport(transport=Loopback(server)),
        headers={"Authorization": f"Key {server.key}"},
    )
    return client


def bare_replicate(server: HostedServer) -> Any:
    """replicate with nothing changed but its address."""
    return replicate_client.Client(api_token=server.key, base_url=server.url)


def fetched(url: str) -> bytes:
    return requests.get(url, timeout=5).content


def sdk_fal(server: HostedServer, spec: BackendSpec, upload: bool) -> bytes:
    client = bare_fal(server)
    with closing(client._client):
        image = URI
        if upload:
            image = client.upload(
                PNG,
                "image/png",
                "picture.png",
                repository="fal",
                fallback_repository=[],
                lifecycle=StorageSettings(expires_in="1h"),
            )
        arguments = {"image_url": image, **words_for(spec.id)}
        handle = client.submit(hosting_of(spec).endpoint, arguments)
        return fetched(handle.get(interval=0.01)["image"]["url"])


def sdk_replicate(server: HostedServer, spec: BackendSpec, upload: bool) -> bytes:
    client = bare_replicate(server)
    with closing(client._client):
        image: object = io.BytesIO(PNG) if upload else URI
        prediction = client.predictions.create(
            model=hosting_of(spec).endpoint, input={"image": image}
        )
        while prediction.status != "succeeded":
            time.sleep(0.01)
            prediction = client.predictions.get(prediction.id)
        return fetched(prediction.output)


def documented_bria(server: HostedServer, spec: BackendSpec, upload: bool) -> bytes:
    """The call of Bria's own documents: JSON with base64, `api_token`, the asynchronous form."""
    assert not upload
    headers = {"api_token": server.key}
    accepted = requests.post(
        server.url + hosting_of(spec).endpoint,
        json={"image": base64.b64encode(PNG).decode(), **words_for(spec.id)},
        headers=headers,
        timeout=5,
    ).json()
    while True:
        state = requests.get(accepted["status_url"], headers=headers, timeout=5).json()
        if state["status"] == "COMPLETED":
            return fetched(state["result"]["image_url"])
        time.sleep(0.01)


REFERENCES = {"bria": documented_bria, "fal": sdk_fal, "replicate": sdk_replicate}


whole_life = life_of(PNG)


def conversation(server: HostedServer) -> Iterator[tuple[Any, ...]]:
    """Method, path, body, content type and account of every request, polls counted once."""
    last: object = None
    for request in server.requests:
        path = request.path.partition("?")[0]
        for job_id in server.jobs:
            path = path.replace(job_id, "{id}")
        for url in server.records.uploads:
            path = path.replace(url.rpartition("/")[2], "{upload}")
        headers = {name.lower(): text for name, text in request.headers.items()}
        content_type = headers.get("content-type", "").partition(";")[0]
        body: object = None
        if content_type == "application/json":
            text = request.body.decode()
            for url in server.records.uploads:
                text = text.replace(url, "{upload}")
            body = json.loads(text)
        elif content_type == "multipart/form-data":
            body = PNG in request.body and b'name="content"' in request.body
        account = headers.get("authorization") or headers.get("api_token")
        if "/cdn/" in path:
            account = None  # the bare SDK sends it there too
        said = (request.method, path, body, content_type, account)
        if said != last:
            yield said
        last = said


def said_by(server: HostedServer, result: bytes) -> list[tuple[Any, ...]]:
    alpha = np.asarray(Image.open(io.BytesIO(result)))[..., 3]
    np.testing.assert_array_equal(alpha, expected_alpha(LEVELS))
    assert server.bills == 1
    return list(conversation(server))


@pytest.mark.parametrize(
    ("spec", "upload"),
    [(spec, False) for spec in ROWS if spec.provider in REFERENCES]
    + [(SPECS[name], True) for name in HOSTED_IDS],
    ids=lambda value: value.id if isinstance(value, BackendSpec) else f"upload={value}",
)
def test_we_say_on_the_wire_what_the_reference_clients_say(spec: BackendSpec, upload: bool) -> None:
    ours = uploading(spec) if upload else spec
    with HostedServer(spec.provider, seconds=0.05) as server:
        reference = said_by(server, REFERENCES[spec.provider](server, spec, upload))
    with HostedServer(spec.provider, seconds=0.05) as server:
        own = said_by(server, talk(ours, server, whole_life))
        assert (server.complaints, server.notes) == ([], [])
    assert own == reference
    assert own[0][4] in (f"Key {server.key}", f"Bearer {server.key}", server.key)
    if spec.provider == "bria":
        return
    with HostedServer(spec.provider, seconds=0.05) as server:
        assert said_by(server, by_sdk(ours, server, whole_life)) == reference
        assert (server.complaints, server.notes) == ([], [])


def test_the_bare_fal_client_pays_three_times_for_one_picture() -> None:
    """Why its POST is guarded: it repeats a submit whose answer was lost."""
    with HostedServer("fal") as server:
        server.plan(Fault("submit", "reset after work", times=2))
        sdk_fal(server, SPECS["fal/rmbg-2.0"], False)
        assert (len(server.jobs), server.bills) == (3, 3)


def test_the_bare_fal_client_sends_the_key_to_the_storage_host() -> None:
    """Why requests lose the key on the bridge."""
    with HostedServer("fal") as server:
        sdk_fal(server, SPECS["fal/rmbg-2.0"], True)
        assert "the key was sent to a file's address" in server.complaints[0]


# The SDKs over our wire --------------------------------------------------------------------------


async def in_thread(function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, function)


def official(spec: BackendSpec, server: HostedServer, **options: Any) -> Any:
    bases = bases_of(spec, server.environment())
    given = {**words_for(spec.id), **options}
    return OFFICIAL[spec.provider](spec, bases, given, server.key, in_thread)


def by_sdk(
    spec: BackendSpec, server: HostedServer, dialogue: Callable[[Any, Any], Any], **options: Any
) -> Any:
    """The dialogue with the provider's SDK instead of our words."""
    provider = official(spec, server, **options)
    return talk(spec, server, lambda _, wire: dialogue(provider, wire))


@pytest.mark.parametrize("name", HOSTED_IDS)
@pytest.mark.parametrize(
    ("fault", "error", "jobs", "bills"),
    [
        (Fault("submit", "reset after work", times=3), AnswerLost, 1, 1),
        (Fault("submit", "reset before work", times=3), AnswerLost, 0, 0),
        (Fault("submit", "truncate", times=3), AnswerLost, 1, 1),
        (Fault("submit", "not json", times=3), AnswerLost, 1, 1),
        (Fault("submit", "no id", times=3), AnswerLost, 1, 1),
        (Fault("submit", "500 after work", times=3), AnswerLost, 1, 1),
        (Fault("submit", 503, times=3), AnswerLost, 0, 0),
        (Fault("submit", 408, times=3), AnswerLost, 0, 0),
        (Fault("submit", 401), KeyMissing, 0, 0),
        (Fault("submit", 402), AccountRefused, 0, 0),
        (Fault("submit", 413), BadPicture, 0, 0),
        (Fault("submit", "moderation"), BackendFailed, 0, 0),
        (Fault("submit", "redirect"), BackendFailed, 0, 0),
        (Fault("status", "failed"), BackendFailed, 1, 0),
        (Fault("status", "moderation"), BackendFailed, 1, 0),
        (Fault("status", "unknown state"), ResultWaiting, 1, 1),
        (Fault("status", "gone"), NotKnown, 1, 1),
        (Fault("status", 401), KeyMissing, 1, 1),
        (Fault("status", "not json", times=9), Unreachable, 1, 1),
    ],
    ids=lambda value: f"{value.step}-{value.kind}" if isinstance(value, Fault) else None,
)
def test_the_sdk_fails_as_our_client_does(
    name: str, fault: Fault, error: type[Exception], jobs: int, bills: int
) -> None:
    with HostedServer(name.partition("/")[0]) as server:
        server.plan(fault)
        with pytest.raises(error) as caught:
            by_sdk(SPECS[name], server, whole_life)
        assert (len(server.jobs), server.bills, server.complaints) == (jobs, bills, [])
        assert sum(r.method == "POST" for r in server.requests) == 1
        assert server.key not in str(caught.value)
        assert caught.value.__context__ is None or server.key not in repr(caught.value.__context__)


@pytest.mark.parametrize("name", HOSTED_IDS)
def test_an_sdk_that_stumbles_over_a_good_answer_loses_nothing(name: str) -> None:
    """fal-client wants four URLs and `logs`; replicate wants a version."""
    spec, asked = SPECS[name], []

    class Terse(Sockets):
        async def _once(self, call: Any) -> Any:
            answer = await super()._once(call)
            data = answer.data()
            asked.append(call.method)
            if data is None:
                return answer
            for field in ("cancel_url", "queue_position", "logs", "version"):
                data.pop(field, None)
            return replace(answer, body=json.dumps(data).encode())

    async def held() -> bytes:
        async with Terse.over(spec, server) as wire:
            return await whole_life(official(spec, server), wire)

    with HostedServer(spec.provider) as server:
        said_by(server, asyncio.run(held()))
    assert asked.count("POST") == 1


def test_replicates_moderation_and_cancel() -> None:
    async def called_off(provider: Any, wire: Any) -> bool:
        ticket = await provider.submit(wire, URI)
        assert (await provider.poll(wire, ticket)).queued
        return bool(await provider.cancel(wire, ticket))

    for name in HOSTED_IDS:
        with HostedServer(name.partition("/")[0], queue_seconds=9) as server:
            moderated = {"content_moderation": True} if "replicate" in name else {}
            assert by_sdk(SPECS[name], server, called_off, **moderated) is True
            assert server.bills == 0
            assert [set(job.flags) for job in server.jobs.values()] == [set(moderated)]


@pytest.mark.parametrize("name", HOSTED_IDS)
def test_a_cancelled_poll_ends_its_thread(name: str) -> None:
    spec, ended = SPECS[name], threading.Event()

    async def watched(function: Callable[[], T]) -> T:
        def run() -> T:
            try:
                return function()
            finally:
                ended.set()

        return await in_thread(run)

    async def dialogue(_: Any, wire: Any) -> float:
        bases = bases_of(spec, server.environment())
        provider = OFFICIAL[spec.provider](spec, bases, {}, server.key, watched)
        task = asyncio.ensure_future(provider.poll(wire, Ticket(spec.id, "x")))
        while not server.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        begun = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await in_thread(partial(ended.wait, 10))
        return time.monotonic() - begun

    with HostedServer(spec.provider) as server:
        server.plan(Fault("status", "hang before"))
        assert talk(spec, server, dialogue) < 5


@pytest.mark.parametrize("name", HOSTED_IDS)
def test_nothing_waits_on_the_loop_itself(name: str) -> None:
    """What is left of a run that has ended is run on the loop, which must not block."""

    async def at_once(function: Callable[[], T]) -> T:
        return function()

    async def dialogue(_: Any, wire: Any) -> None:
        spec = SPECS[name]
        bases = bases_of(spec, server.environment())
        provider = OFFICIAL[spec.provider](spec, bases, {}, server.key, at_once)
        with pytest.raises(NotSent):
            await provider.submit(wire, URI)
        with pytest.raises(Unreachable):
            await provider.poll(wire, Ticket(spec.id, "x"))

    with HostedServer(name.partition("/")[0]) as server:
        talk(SPECS[name], server, dialogue)
        assert server.requests == []


@pytest.mark.parametrize("name", HOSTED_IDS)
def test_our_own_errors_pass_through_the_sdk(name: str) -> None:
    spec = SPECS[name]

    class Grounded(Sockets):
        async def submit(self, call: Any) -> Any:
            raise Offline("RMBG_OFFLINE is on.")

    async def held() -> None:
        async with Grounded.over(spec, server) as wire:
            await official(spec, server).submit(wire, URI)

    with HostedServer(spec.provider) as server, pytest.raises(Offline):
        asyncio.run(held())


@pytest.mark.parametrize("name", HOSTED_IDS)
def test_a_missing_sdk_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPECS[name]
    for module in ("fal_client", "fal_client.client", "replicate", "replicate.exceptions"):
        monkeypatch.setitem(sys.modules, module, None)
    words = rf'pip install "rmbg-nodes\[{spec.provider}\]"'
    with pytest.raises(BackendMissing, match=words):
        OFFICIAL[spec.provider](spec, bases_of(spec, {}), {}, "a-key", in_thread)
