"""A key is nowhere but in the header of a request to the provider: not in any file, log, message,
traceback, picture or report, whatever goes wrong, and even where the provider repeats it."""

# Pins the inside of backends.hosted.backend
# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.transport

from __future__ import annotations

import asyncio
import base64
import importlib
import io
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import torch
from PIL import Image

from rmbg_nodes import cli
from rmbg_nodes.backends.hosted import backend as hosted_backend
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.transport import Transport
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import Cancelled, RmbgError
from rmbg_nodes.core.specs import OptionValue
from rmbg_nodes.core.types import Job
from rmbg_nodes.pipeline.finishing import Finishing
from rmbg_nodes.pipeline.inputs import Failed, Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.comfy_standin import standing_in
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind, Step
from rmbg_nodes.tests.support.hosted.opening import PROVIDERS, Shop, loopback, opened
from rmbg_nodes.tests.support.hosted.server import HostedServer

ROOT = Path(__file__).resolve().parent.parent
# Of both halves no part looks like a word, and URLs and base64 write it in other ways.
KEY_ID = "zq7id/+kx=0f6e1c7a"
SECRET = "wv9/secret+half=of~it8"
KEY = f"{KEY_ID}:{SECRET}"
FORMS = sorted(
    {
        form
        for part in (KEY, KEY_ID, SECRET)
        for form in (
            part,
            quote(part, safe=""),
            quote(part),
            quote_plus(part),
            json.dumps(part)[1:-1],
            base64.b64encode(part.encode()).decode().rstrip("="),
            base64.urlsafe_b64encode(part.encode()).decode().rstrip("="),
        )
    }
)
SUBMIT: tuple[int | Kind, ...] = ("reset after work", "not json", 400, 401, 403, 422, 500)
LATER: tuple[tuple[Step, int | Kind], ...] = (
    ("status", "truncate"),
    ("status", "unknown state"),
    ("status", 401),
    ("status", 422),
    ("status", 500),
    ("result", 403),
    ("result", 422),
    ("download", 403),
    ("download", "redirect"),
)


@dataclass
class Ears:
    """Everything that was said, by where it was said."""

    log: io.StringIO = field(default_factory=io.StringIO)
    errors: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def hear(self, error: BaseException | None) -> None:
        """An exception with all that hangs on it."""
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            self.errors += [str(error), repr(error), repr(error.args), repr(vars(error))]
            self.errors += traceback.format_exception(error)
            if error.__cause__ is not None:
                self.hear(error.__cause__)
            error = error.__context__


@pytest.fixture
def ears() -> Iterator[Ears]:
    """The logs of every library, at their most talkative."""
    heard = Ears()
    handler = logging.StreamHandler(heard.log)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s %(pathname)s"))
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("asyncio", "aiohttp", "httpx", "PIL"))]
    before = [logger.level for logger in loggers]
    root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(handler)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@pytest.fixture(params=PROVIDERS)
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HostedServer]:
    with loopback(monkeypatch, request.param, key=KEY) as server:
        monkeypatch.setattr(
            hosted_backend, "Transport", partial(Transport, backoff=Backoff(0.01, 0.02))
        )
        yield server
        assert server.complaints == []


@pytest.fixture
def echoing(server: HostedServer, monkeypatch: pytest.MonkeyPatch) -> HostedServer:
    """A gateway that repeats what was sent to it in every error."""
    error = server._speech.error

    def echo(status: int, words: str) -> object:
        return error(status, f"{words} You sent {KEY}, or {' or '.join(FORMS)}.")

    monkeypatch.setattr(server._speech, "error", echo)
    return server


def leaks(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [form for form in FORMS if form.encode() in data]


def expect_silence(ears: Ears, folder: Path, captured: Iterable[str] = ()) -> None:
    said = {"log": ears.log.getvalue(), "errors": "\n".join(ears.errors)}
    said |= {"texts": "\n".join(ears.texts), "output": "\n".join(captured)}
    assert said["log"]
    for where, text in said.items():
        assert leaks(text) == [], f"{where}: {_around(text)}"
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert leaks(path.name) == []
        assert leaks(path.read_bytes()) == [], path
        if path.suffix == ".png":
            with Image.open(path) as picture:  # text chunks may be compressed
                picture.load()
                assert leaks(repr(picture.info)) == []


def expect_keys_in_headers_only(server: HostedServer) -> None:
    for request in server.requests:
        assert leaks(f"{request.method} {request.path}") == []
        assert leaks(request.body) == []
        if request.path.startswith(("/files/", "/cdn/")):
            assert leaks(repr(request.headers)) == []


def shop_of(server: HostedServer, folder: Path) -> Shop:
    return Shop(folder / "shop", f"{server.provider}/rmbg-2.0")


def run(
    ears: Ears,
    shop: Shop,
    indices: Iterable[int],
    job: Job | None = None,
    **options: OptionValue,
) -> int:
    """The pictures that were delivered; what went wrong is heard."""
    records, done = shop.records(), 0
    frames = [disc_frame(index, (24, 32)) for index in indices]
    inputs = [Input(f.index, f.name, partial(getattr, f, "pixels")) for f in frames]
    backend = opened(shop.backend_id, **options)
    ears.texts.append(repr(backend))
    try:
        for result in remove(
            inputs, backend, Finishing(), settings=Settings(), records=records, job=job
        ):
            ears.texts.append(repr(result))
            if isinstance(result, Failed):
                ears.hear(result.failure.error)
            else:
                done += 1
                ears.texts.append(json.dumps(result.report.data()))
    except RmbgError as error:
        ears.hear(error)
    finally:
        ears.texts.append(repr(records.journal.pending()))
        records.close()
    return done


def test_whatever_goes_wrong(echoing: HostedServer, ears: Ears, tmp_path: Path, capfd) -> None:
    """Success, refusals, lost answers and failures at every step, each told by an echo."""
    server, shop = echoing, shop_of(echoing, tmp_path)
    assert run(ears, shop, range(2)) == 2
    for number, kind in enumerate(SUBMIT, 10):
        server.plan(Fault("submit", kind))
        run(ears, shop, [number])
    for number, (step, kind) in enumerate(LATER, 30):
        server.plan(Fault(step, kind, times=9))
        run(ears, shop, [number])
        server.mend()
    expect_silence(ears, tmp_path, capfd.readouterr())
    expect_keys_in_headers_only(server)
    assert len(ears.errors) > 100


def has_client(provider: str) -> bool:
    """Whether the provider's official client can run behind our backend."""
    return any(option.name == "client" for option in BACKENDS[f"{provider}/rmbg-2.0"].options)


def test_a_refused_key(echoing: HostedServer, ears: Ears, tmp_path: Path, capfd) -> None:
    echoing.key = "another"
    for client in ("own", "official"):
        if has_client(echoing.provider):
            assert run(ears, shop_of(echoing, tmp_path), range(3), client=client) == 0
    assert run(ears, shop_of(echoing, tmp_path), range(3)) == 0
    expect_silence(ears, tmp_path, capfd.readouterr())
    assert "refused the key" in " ".join(ears.errors)


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY} {KEY}", f"{KEY}é"])
def test_what_is_no_key(
    server: HostedServer, ears: Ears, tmp_path: Path, monkeypatch, key: str
) -> None:
    monkeypatch.setenv(BACKENDS[f"{server.provider}/rmbg-2.0"].key_variables[0], key)
    logging.getLogger().debug("begun")
    assert run(ears, shop_of(server, tmp_path), [0]) == 0
    assert run(ears, shop_of(server, tmp_path), [0], profile=KEY) == 0
    expect_silence(ears, tmp_path)
    assert server.requests == []


def test_cancel(server: HostedServer, ears: Ears, tmp_path: Path, capfd) -> None:
    server.records.queue_seconds = 20

    class AfterAPoll(Job):
        def check(self) -> None:
            if any(request.method == "GET" for request in server.requests):
                raise Cancelled("Stopped by the test.")

    assert run(ears, shop_of(server, tmp_path), range(3), AfterAPoll()) == 0
    expect_silence(ears, tmp_path, capfd.readouterr())
    expect_keys_in_headers_only(server)


def test_official_clients(echoing: HostedServer, ears: Ears, tmp_path: Path, capfd) -> None:
    if not has_client(echoing.provider):
        pytest.skip("there is none that runs behind our backend")
    pytest.importorskip("fal_client" if echoing.provider == "fal" else "replicate")
    shop = shop_of(echoing, tmp_path)
    assert run(ears, shop, range(2), client="official") == 2
    kinds: tuple[int | Kind, ...] = ("reset after work", "not json", 400, 422, 500)
    for number, kind in enumerate(kinds, 10):
        echoing.plan(Fault("submit", kind))
        run(ears, shop, [number], client="official")
        echoing.plan(Fault("status", kind, times=9))
        run(ears, shop, [number + 20], client="official")
        echoing.mend()
    expect_silence(ears, tmp_path, capfd.readouterr())
    expect_keys_in_headers_only(echoing)


def test_the_command_line_and_its_key_file(
    echoing: HostedServer, ears: Ears, tmp_path: Path, monkeypatch, capfd
) -> None:
    server, provider = echoing, echoing.provider
    for variable in BACKENDS[f"{provider}/rmbg-2.0"].key_variables:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    pictures = tmp_path / "in"
    pictures.mkdir()
    for index in range(3):
        levels = (disc_frame(index, (24, 32)).pixels * 255).round().to(torch.uint8)
        Image.fromarray(levels.numpy()).save(pictures / f"{index}.png")
    work = ["remove", str(pictures), "-o", str(tmp_path / "out"), "--backend", provider, "--json"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{KEY}\n"))
    statuses = [cli.main(work), cli.main(["keys", "set", provider])]
    statuses += [cli.main(["keys", "list", *more]) for more in ([], ["--json"])]
    server.plan(Fault("status", "unknown state"), Fault("submit", 422))
    statuses += [cli.main(work), cli.main(["pending", "--json"]), cli.main(["pending"])]
    statuses += [cli.main(["resume"]), cli.main(work), cli.main(["keys", "set", provider, KEY])]
    statuses += [cli.main(["keys", "remove", provider])]
    assert statuses == [2, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0]
    assert server.bills == 3
    expect_silence(ears, tmp_path, capfd.readouterr())
    expect_keys_in_headers_only(server)


@pytest.mark.parametrize("server", ["fal"], indirect=True)
def test_a_process_of_its_own(echoing: HostedServer, tmp_path: Path, monkeypatch) -> None:
    """Its whole output with Python's own warnings and debugging switched on."""
    picture = tmp_path / "in.png"
    levels = (disc_frame(0, (24, 32)).pixels * 255).round().to(torch.uint8)
    Image.fromarray(levels.numpy()).save(picture)
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    echoing.plan(Fault("submit", 400))
    command = [sys.executable, "-X", "dev", str(ROOT), "remove", str(picture)]
    ended = subprocess.run(
        [*command, "--backend", echoing.provider, "-o", str(tmp_path / "out.png")],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1
    assert leaks(ended.stdout + ended.stderr) == [], ended.stderr


def test_nodes(echoing: HostedServer, ears: Ears, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    rest = {"refine_edges": True, "decontaminate": 1.0, "background": "transparent"}
    rest |= {"color": "#ffffff"}
    pixels = torch.stack([disc_frame(index, (24, 32)).pixels for index in range(2)])
    with standing_in(tmp_path / "comfy"):
        nodes = importlib.import_module("rmbg_nodes.nodes.node_list")
        chosen = {"backend": echoing.provider, "model": "rmbg-2.0"}
        (plug,) = nodes.LoadRmbg.execute(usage="non-commercial", backend=chosen).result
        ears.texts.append(repr(plug))
        execute = partial(nodes.RemoveBackground.execute, remover=[plug])
        wrapped = {name: [value] for name, value in rest.items()}
        echoing.plan(Fault("submit", 422))
        with pytest.raises(RmbgError) as refused:
            asyncio.run(execute(image=[pixels], **wrapped))
        ears.hear(refused.value)
        output = asyncio.run(execute(image=[pixels], **wrapped)).result
        ears.texts.append(repr(output))
    expect_silence(ears, tmp_path, capfd.readouterr())
    expect_keys_in_headers_only(echoing)


def _around(text: str) -> str:
    """Where it was found, for the one who looks for the leak."""
    at = min(text.find(form) for form in leaks(text)) if leaks(text) else 0
    return text[max(0, at - 200) : at + 200]
