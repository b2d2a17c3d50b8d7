"""Removal by words: what a guided model is told, and that nothing is sent or paid for without."""

# Pins the inside of backends.hosted.backend
# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.transport
# Pins the inside of backends.hosted.jobs.repeats

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes import cli
from rmbg_nodes.backends.hosted import backend as hosted_backend
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.transport import Transport
from rmbg_nodes.backends.hosted.jobs import repeats
from rmbg_nodes.catalogue.backends import BACKENDS, find
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import BadOption, ResultWaiting
from rmbg_nodes.core.types import Frame, Job
from rmbg_nodes.pipeline.context import resume
from rmbg_nodes.pipeline.finishing import Done
from rmbg_nodes.pipeline.gate import open_backend
from rmbg_nodes.pipeline.inputs import Failed
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import Shop, loopback, opened
from rmbg_nodes.tests.support.hosted.server import HostedServer

GUIDED = tuple(row.id for row in BACKENDS.values() if row.instruction)
UNGUIDED = tuple(row.id for row in BACKENDS.values() if not row.instruction)
WORDS = "the person with the mat and the plant"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(Transport, backoff=Backoff(0.005, 0.02), again_seconds=0.4)
    monkeypatch.setattr(hosted_backend, "Transport", quick)
    monkeypatch.setattr(repeats, "_PAUSES", (0.02, 0.02))


@pytest.fixture(params=GUIDED)
def backend_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(backend_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, find(backend_id).provider) as server:
        yield server
        assert server.complaints == []


def small(*indices: int) -> list[Frame]:
    return [disc_frame(index, (24, 32)) for index in indices]


def told(server: HostedServer) -> list[str]:
    """What each job was told, in order."""
    return [job.prompt for job in sorted(server.jobs.values(), key=lambda job: job.created)]


def all_done(results: dict[int, Done | Failed]) -> bool:
    return all(isinstance(result, Done) for result in results.values())


def test_there_is_a_guided_model_at_each_host_that_documents_one() -> None:
    assert {find(id).provider for id in GUIDED} == {"bria", "fal", "comfy"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (WORDS, WORDS),
        (f"  {WORDS}\r\n", WORDS),
        ('only the chair\n\t"nothing else"', 'only the chair\n\t"nothing else"'),
        ("只要椅子, la silla 👩\u200d🚀", "只要椅子, la silla 👩\u200d🚀"),
    ],
)
def test_the_words_arrive_as_they_were_written(
    server: HostedServer, backend_id: str, tmp_path: Path, given: str, sent: str
) -> None:
    assert all_done(Shop(tmp_path, backend_id).run(small(0), prompt=given))
    assert told(server) == [sent]


def test_other_words_are_other_work_and_the_same_are_paid_once(
    server: HostedServer, backend_id: str, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, backend_id)
    for words in (WORDS, f"{WORDS} ", "only the plant", WORDS):
        assert all_done(shop.run(small(0), prompt=words))
    assert told(server) == [WORDS, "only the plant"]
    assert server.bills == 2


@pytest.mark.parametrize("options", [{}, {"prompt": ""}, {"prompt": " \n\t "}])
def test_without_words_nothing_is_opened(
    server: HostedServer, backend_id: str, options: dict[str, str]
) -> None:
    with pytest.raises(BadOption, match=r"guided by words, and prompt is empty.*the mat"):
        open_backend(backend_id, settings=Settings(), options=options)
    assert server.requests == []


@pytest.mark.parametrize("other", UNGUIDED)
def test_other_backends_refuse_words(other: str) -> None:
    with pytest.raises(BadOption, match=f"{other} is not guided by words.*fal/rmbg-guided"):
        open_backend(other, settings=Settings(), options={"prompt": WORDS})


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("the chair\x1b[2J", "control characters"),
        ("the chair\x00", "control characters"),
        ("the \udcff chair", "control characters"),
        ("chair " * 1000, "5,999 characters; say it in at most 4,000"),
    ],
)
def test_what_is_no_plain_text_is_refused(words: str, why: str) -> None:
    with pytest.raises(BadOption, match=why) as refused:
        opened("fal/rmbg-guided", prompt=words)
    assert "\x1b" not in str(refused.value)


def test_a_receipt_quotes_the_words_and_no_name(
    server: HostedServer, backend_id: str, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, backend_id)
    shop.run(small(0), prompt=WORDS)
    records = shop.records()
    (receipt,) = [receipt.data() for receipt in records.receipts.each()]
    records.close()
    settings = receipt["settings"]
    assert isinstance(settings, dict)
    options = settings["options"]
    assert isinstance(options, dict)
    assert options["prompt"] == WORDS
    assert options["profile"] is False


def test_no_line_of_a_log_or_of_a_message_is_the_words(
    server: HostedServer,
    backend_id: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.plan(Fault("submit", "moderation"))
    results = Shop(tmp_path, backend_id).run(small(0, 1), prompt="the chair\nCRITICAL: forged")
    (failed,) = [result for result in results.values() if isinstance(result, Failed)]
    assert "forged" not in str(failed.failure.error)
    assert "forged" not in caplog.text


def test_paid_work_is_fetched_without_its_words(
    server: HostedServer, backend_id: str, tmp_path: Path
) -> None:
    """As `rmbg resume` does, which knows neither picture nor prompt."""
    shop = Shop(tmp_path, backend_id)
    server.plan(Fault("status", "unknown state", times=99))
    shop.run(small(0), prompt=WORDS)
    server.mend()
    assert_fetched(shop, server)


def test_a_lost_answer_is_asked_for_with_the_words_that_were_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By `resume`, and with the picture still there by the next run: the very same request."""
    with loopback(monkeypatch, "comfy") as server:
        shop = Shop(tmp_path, "comfy/rmbg-guided")
        server.plan(Fault("submit", "reset after work", times=999))
        (result,) = shop.run(small(0), prompt=WORDS, moderate_input=True).values()
        assert isinstance(result, Failed)
        assert isinstance(result.failure.error, ResultWaiting)
        server.mend()
        assert_fetched(shop, server)
        bodies = {request.body for request in server.requests if request.step == "submit"}
        assert len(bodies) == 1
        assert server.complaints == []


def assert_fetched(shop: Shop, server: HostedServer) -> None:
    records = shop.records()
    rows = records.journal.pending()
    backend = open_backend(shop.backend_id, settings=Settings(), only_to_fetch=True)
    assert [error for _, error in resume(rows, backend, records, Job())] == [None]
    assert records.journal.pending() == []
    records.close()
    assert told(server) == [WORDS]
    assert server.bills == 1


@pytest.fixture
def shot(tmp_path: Path) -> str:
    path = tmp_path / "yoga.png"
    Image.fromarray(np.full((24, 32, 3), 90, dtype=np.uint8)).save(path)
    return str(path)


def test_the_command_takes_words(
    server: HostedServer, backend_id: str, shot: str, tmp_path: Path, capsys
) -> None:
    line = ("remove", shot, "-o", f"{tmp_path}/out.png", "--backend", backend_id, "--allow-empty")
    assert cli.main([*line]) == 2
    assert cli.main([*line, "--dry-run"]) == 2
    assert capsys.readouterr().err.count("prompt is empty") == 2
    assert server.requests == []
    assert cli.main([*line, "--prompt", "42"]) == 0
    assert cli.main([*line, "--option", f"prompt={WORDS}"]) == 0
    assert told(server) == ["42", WORDS]
    capsys.readouterr()
    assert cli.main(["remove", shot, "--backend", "keyer", "--prompt", WORDS]) == 2
    assert "keyer is not guided by words" in capsys.readouterr().err
