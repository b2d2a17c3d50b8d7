"""The one event loop of the process, whoever asks for it."""

# Pins the inside of backends.hosted.http.runtime
# Pins the inside of backends.hosted.http.wire

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import aiohttp
import pytest

from rmbg_nodes.backends.hosted.http.runtime import Runtime, runtime
from rmbg_nodes.backends.hosted.http.wire import SendState

ROOT = Path(__file__).resolve().parent.parent

LOAD = """
import importlib, importlib.util, sys
def load(name):
    spec = importlib.util.spec_from_file_location(
        name, {root!r} + "/__init__.py", submodule_search_locations=[{root!r}]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return importlib.import_module(".backends.hosted.http.runtime", name).runtime
""".format(root=str(ROOT))


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", LOAD + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


async def number(value: int) -> int:
    return value


def test_it_runs_coroutines_in_one_daemon_thread() -> None:
    here = Runtime()

    async def where() -> threading.Thread:
        return threading.current_thread()

    threads = {here.start(where()).result(5) for _ in range(3)}
    (thread,) = threads
    assert (thread.name, thread.daemon) == ("rmbg-hosted", True)
    here.close()
    assert not thread.is_alive()


def test_closing_twice_is_harmless_and_nothing_starts_after_it() -> None:
    here = Runtime()
    here.close()
    here.close()
    with pytest.raises(RuntimeError, match="closed"):
        here.start(number(1))


def test_closing_waits_for_what_is_detached() -> None:
    here = Runtime()
    ended = []

    async def submit() -> None:
        await asyncio.sleep(0.1)
        ended.append(True)

    async def begin() -> None:
        here.detach(asyncio.ensure_future(submit()), SendState())

    here.start(begin()).result(5)
    here.close()
    assert ended == [True]


def test_closing_cancels_the_rest_and_ends_its_sessions() -> None:
    here = Runtime()

    async def open_all() -> list[aiohttp.ClientSession]:
        return [
            here.sessions.get("submit"),
            here.sessions.get("api"),
            here.sessions.get("public"),
            here.sessions.get("unfiltered"),
        ]

    sessions = here.start(open_all()).result(5)
    assert len({id(session) for session in sessions}) == 4
    assert here.start(open_all()).result(5) == sessions
    future = here.start(asyncio.sleep(3600))
    time.sleep(0.02)
    here.close()
    assert future.cancelled()
    assert all(session.closed for session in sessions)


def test_a_detached_task_is_kept_and_its_error_seen() -> None:
    here = Runtime()

    go_on = asyncio.Event()

    async def fail() -> None:
        await go_on.wait()
        raise ValueError("nobody is left to hear it")

    async def begin() -> None:
        here.detach(asyncio.ensure_future(fail()), SendState())
        gc.collect()

    complaints: list[object] = []
    here.loop.set_exception_handler(lambda loop, context: complaints.append(context))
    here.start(begin()).result(5)
    assert len(here.detached) == 1
    here.loop.call_soon_threadsafe(go_on.set)
    time.sleep(0.1)
    gc.collect()
    here.start(asyncio.sleep(0)).result(5)
    assert not here.detached
    assert complaints == []
    here.close()


def test_what_nobody_waited_for_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = Runtime()

    async def leave_behind(error: Exception) -> None:
        asyncio.get_running_loop().create_future().set_exception(error)

    with caplog.at_level(logging.DEBUG, "rmbg_nodes.hosted"):
        here.start(leave_behind(ValueError("Authorization: Key secret"))).result(5)
        here.start(leave_behind(ConnectionResetError("https://x?sig=secret"))).result(5)
        gc.collect()
    here.close()
    texts = {r.levelname: r.getMessage() for r in caplog.records if r.name == "rmbg_nodes.hosted"}
    assert texts == {
        "ERROR": "Future exception was never retrieved: ValueError",
        "DEBUG": "Future exception was never retrieved: ConnectionResetError",
    }
    assert "secret" not in caplog.text


def test_a_gate_is_one_object_until_other_limits_are_asked_for() -> None:
    here = Runtime()
    rate_limits = here.rate_limits("fal", in_flight=1, requests_a_minute=60, pictures=1)
    assert (
        here.rate_limits("bria", in_flight=1, requests_a_minute=60, pictures=1) is not rate_limits
    )

    async def both() -> bool:
        async with rate_limits.jobs, rate_limits.jobs:
            return True

    waiting = here.start(both())
    time.sleep(0.02)
    assert not waiting.done()
    assert here.rate_limits("fal", in_flight=1, requests_a_minute=60, pictures=1) is rate_limits
    rate_limits = here.rate_limits("fal", in_flight=2, requests_a_minute=60, pictures=1)
    assert here.start(both()).result(5)
    assert here.rate_limits("fal", in_flight=2, requests_a_minute=60, pictures=1) is rate_limits
    waiting.cancel()
    here.close()


def test_it_is_made_once_and_anew_after_it_was_closed() -> None:
    made: list[Runtime] = []
    threads = [threading.Thread(target=lambda: made.append(runtime())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in made}) == 1
    made[0].close()
    again = runtime()
    assert again is not made[0]
    assert again.start(number(5)).result(5) == 5
    again.close()


def test_two_identities_share_it() -> None:
    output = run(
        """
first, second = load("rmbg_nodes"), load("/somewhere/my pack")
assert first is not second
one, other = first(), second()
import asyncio, threading
sizes = dict(in_flight=1, requests_a_minute=60, pictures=1)
print(one is other, one.rate_limits("fal", **sizes) is other.rate_limits("fal", **sizes))
print([t.name for t in threading.enumerate() if t.name.startswith("rmbg")])
print(other.start(asyncio.sleep(0, "ran")).result(5))
"""
    )
    assert output == "True True\n['rmbg-hosted']\nran\n"


def test_a_program_that_ends_leaves_no_complaint() -> None:
    """Sessions open and a submit under way: its last words are still heard."""
    output = run(
        """
here = load("rmbg_nodes")()
here.loop.slow_callback_duration = 60  # or asyncio's debug mode reports a slow machine
import asyncio
async def submit():
    await asyncio.sleep(0.2)
    print("id", flush=True)
async def begin():
    [here.sessions.get(name) for name in ("submit", "api", "public")]
    wire = importlib.import_module("rmbg_nodes.backends.hosted.http.wire")
    here.detach(asyncio.ensure_future(submit()), wire.SendState())
here.start(begin()).result(5)
here.start(asyncio.sleep(3600))
"""
    )
    assert output == "id\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_its_own_and_leaves_the_parents_alone() -> None:
    output = run(
        """
import asyncio, os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, Python 3.12
runtime = load("rmbg_nodes")
parent = runtime()
async def serve(reader, writer):
    writer.write(await reader.read(1)); await writer.drain(); writer.close()
async def echo():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await asyncio.sleep(0.3)  # the fork happens here
    writer.write(b"x"); answer = await reader.read()
    writer.close(); server.close()
    return answer
talk = parent.start(echo())
import time; time.sleep(0.1)
child = os.fork()
if child == 0:
    own = runtime()
    assert own is not parent and own is runtime()
    assert own.start(asyncio.sleep(0, 5)).result(5) == 5
    parent.close()
    own.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert runtime() is parent
print(talk.result(5))
"""
    )
    assert output == "b'x'\n"
