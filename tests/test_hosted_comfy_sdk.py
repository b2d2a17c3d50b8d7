"""Comfy's own SDK against the loopback server: what it says on the wire beside what we say, and
that the server treats its keys as ours."""

from __future__ import annotations

import base64
import io
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import requests
from PIL import Image

from rmbg_nodes.catalogue.hosted_models import ROWS
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.core.specs import BackendSpec
from rmbg_nodes.tests.support.hosted.comfy import DAY, Comfy
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import words_for
from rmbg_nodes.tests.support.hosted.pictures import expected_alpha, to_png
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.hosted.sockets import life_of, talk

comfy_sdk = pytest.importorskip("comfy_sdk")

from comfy_sdk import router_exceptions  # noqa: E402

SPECS = {spec.id: spec for spec in ROWS}
SPEC = SPECS["comfy/rmbg-2.0"]
MODEL = hosting_of(SPEC).endpoint
LEVELS = np.random.default_rng(6).integers(0, 256, (20, 27, 3), dtype=np.uint8)
PNG = to_png(LEVELS)
BODY = {"image": base64.b64encode(PNG).decode()}


@pytest.fixture(params=["queue", "held"])
def server(request: pytest.FixtureRequest) -> Iterator[HostedServer]:
    with HostedServer("comfy", seconds=0.05) as server:
        speech(server).queue = request.param == "queue"
        yield server
        assert server.complaints == []


@pytest.fixture
def client(server: HostedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("COMFY_ROUTER_BASE_URL", server.url)
    monkeypatch.chdir(tmp_path)
    with comfy_sdk.Comfy(api_key=server.key) as client:
        yield client


def speech(server: HostedServer) -> Comfy:
    return cast("Comfy", server.speech)


def by_sdk(client: Any, server: HostedServer, key: str, spec: BackendSpec = SPEC) -> bytes:
    """The result's file, by the way that the workspace has."""
    model, body = hosting_of(spec).endpoint, {**BODY, **words_for(spec.id)}
    if speech(server).queue:
        given = client.models.submit(model, body, idempotency_key=key).get(timeout=20)
    else:
        given = client.models.run(model, body, idempotency_key=key)
    return requests.get(given["result"]["image_url"], timeout=5).content


by_us = life_of(PNG)


def conversation(server: HostedServer) -> list[tuple[Any, ...]]:
    """Method, path, body, kind of key and account of every request; polls counted once, and without
    the queue that refused."""
    said: list[tuple[Any, ...]] = []
    for request in server.requests:
        path = request.path
        for job_id in server.jobs:
            path = path.replace(job_id, "{id}")
        if request.step == "submit" and path.endswith("/requests") and not speech(server).queue:
            continue
        headers = {name.lower(): text for name, text in request.headers.items()}
        body = json.loads(request.body) if request.body else None
        account = headers.get("x-api-key") or headers.get("authorization", "").partition(" ")[2]
        key = headers.get("idempotency-key")
        one = (request.method, path, body, key and uuid.UUID(key).version, account)
        if not said or one != said[-1]:
            said.append(one)
    return said


def check(result: bytes) -> None:
    alpha = np.asarray(Image.open(io.BytesIO(result)))[..., 3]
    np.testing.assert_array_equal(alpha, expected_alpha(LEVELS))


@pytest.mark.parametrize("name", ["comfy/rmbg-2.0", "comfy/rmbg-guided"])
def test_we_say_on_the_wire_what_the_sdk_says(server: HostedServer, client: Any, name: str) -> None:
    check(by_sdk(client, server, str(uuid.uuid4()), SPECS[name]))
    assert server.bills == 1
    reference = conversation(server)
    with HostedServer("comfy", seconds=0.05) as second:
        speech(second).queue = speech(server).queue
        check(talk(SPECS[name], second, by_us))
        assert (second.complaints, second.bills) == ([], 1)
        own = conversation(second)
    assert own == reference


def test_a_key_is_one_job_for_a_day(server: HostedServer, client: Any) -> None:
    key = str(uuid.uuid4())
    for _ in range(3):
        check(by_sdk(client, server, key))
    assert server.bills == 1
    speech(server).clock = lambda: time.time() + DAY + 60
    check(by_sdk(client, server, key))
    assert server.bills == 2


def test_another_request_under_a_key_is_refused(server: HostedServer, client: Any) -> None:
    key = str(uuid.uuid4())
    by_sdk(client, server, key)
    other = {**BODY, "visual_input_content_moderation": True}
    send = client.models.submit if speech(server).queue else client.models.run
    with pytest.raises(router_exceptions.InvalidInput):
        send(MODEL, other, idempotency_key=key)
    assert server.bills == 1


def test_a_lost_answer_is_there_for_the_same_key(server: HostedServer, client: Any) -> None:
    key = str(uuid.uuid4())
    server.plan(Fault("submit", "reset after work"))
    with pytest.raises(Exception) as caught:  # noqa: PT011  # httpx's or the SDK's own
        by_sdk(client, server, key)
    assert server.key not in str(caught.value)
    check(by_sdk(client, server, key))
    assert server.bills == 1


def test_a_workspace_without_a_queue(server: HostedServer, client: Any) -> None:
    speech(server).queue = False
    with pytest.raises(router_exceptions.NotEnabled):
        client.models.submit(MODEL, BODY)
    assert server.bills == 0


def test_the_sdk_collects_what_was_cut_off(server: HostedServer, client: Any) -> None:
    speech(server).queue, speech(server).hold, speech(server).retry_after = False, 0.02, "1"
    server.seconds = 0.5
    check(by_sdk(client, server, str(uuid.uuid4())))
    assert server.bills == 1


def test_a_spend_refusal_has_its_headers(server: HostedServer, client: Any) -> None:
    speech(server).spend_limit = 1
    send = client.models.submit if speech(server).queue else client.models.run
    with pytest.raises(router_exceptions.RouterError) as caught:
        send(MODEL, BODY)
    assert caught.value.error_type == "concurrency_limit_exceeded"
    assert server.bills == 0
