"""A journal that cannot be looked at is not an empty one: nothing is sent that it could not note.

The real command line against a provider on this machine, and real files, locks, limits and damage.
"""

# Pins the inside of records.locks
# Pins the inside of records.opening

from __future__ import annotations

import ctypes
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.core.types import Job, Ticket
from rmbg_nodes.pipeline import context
from rmbg_nodes.pipeline.finishing import Done
from rmbg_nodes.records import opening
from rmbg_nodes.records.locks import exclusive
from rmbg_nodes.records.opening import FILE
from rmbg_nodes.records.store import open_records
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import Shop, loopback
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.records import BACKEND, PRICE, SIZE, TICKET, WORK

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parent.parent
CACHED, WAITING, NEW = range(3)


class User:
    """Somebody with a data folder, three pictures, and a shell. Each command is a program of its
    own, as far as the records go."""

    def __init__(self, folder: Path, server: HostedServer, capsys: pytest.CaptureFixture[str]):
        self.folder, self.server, self.capsys = folder, server, capsys
        self.records = folder / "data" / "records"
        self.pictures = [folder / f"{name}.png" for name in ("cached", "waiting", "new")]
        for number, path in enumerate(self.pictures):
            levels = np.full((24, 32, 3), 40 + 60 * number, np.uint8)
            levels[6:18, 8:24] = 250
            Image.fromarray(levels).save(path)
        self.said = ""

    def rmbg(self, *words: str) -> int:
        context._opened.cache_clear()
        self.capsys.readouterr()
        status = main(words)
        told = self.capsys.readouterr()
        self.said = f"{told.out}\n{told.err}"
        return status

    def remove(self, *numbers: int) -> list[bool]:
        """Which of these pictures were delivered."""
        out = self.folder / "out"
        for old in out.glob("*"):
            old.unlink()
        paths = [str(self.pictures[number]) for number in numbers]
        self.rmbg("remove", *paths, "-o", f"{out}{os.sep}", "--backend", "fal")
        return [(out / self.pictures[number].name).exists() for number in numbers]


@pytest.fixture
def user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[User]:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(opening, "_BUSY_SECONDS", 0.1)
    monkeypatch.setattr(opening, "_OPENING_SECONDS", 0.1)
    with loopback(monkeypatch, "fal") as server:
        yield User(tmp_path, server, capsys)
        assert server.complaints == []
    context._opened.cache_clear()


@pytest.fixture
def paid(user: User) -> User:
    """One result is in the cache, another one waits at the provider."""
    assert user.remove(CACHED) == [True]
    user.server.plan(Fault("status", "unknown state"))
    assert user.remove(WAITING) == [False]
    user.server.mend()
    context._opened.cache_clear()
    assert user.server.bills == 2
    return user


def connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


@contextmanager
def write_locked(records: Path) -> Iterator[None]:
    other = connected(records / FILE)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


@contextmanager
def wholly_locked(records: Path) -> Iterator[None]:
    other = connected(records / FILE)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE jobs SET trouble = trouble")
    yield
    other.close()


@contextmanager
def being_opened(records: Path) -> Iterator[None]:
    with exclusive(records / "opening.lock", 1):
        yield


@contextmanager
def another_table(records: Path) -> Iterator[None]:
    """A file whose tables are not those that are asked for."""
    other = connected(records / FILE)
    other.execute("ALTER TABLE jobs RENAME TO other_jobs")
    yield
    other.execute("ALTER TABLE other_jobs RENAME TO jobs")
    other.close()


@contextmanager
def no_money(records: Path) -> Iterator[None]:
    other = connected(records / FILE)
    other.execute("ALTER TABLE reservations RENAME TO other")
    yield
    other.execute("ALTER TABLE other RENAME TO reservations")
    other.close()


@contextmanager
def spoilt_row(records: Path) -> Iterator[None]:
    other = connected(records / FILE)
    ((urls,),) = other.execute("SELECT urls FROM jobs WHERE state = 'submitted'").fetchall()
    other.execute("UPDATE jobs SET urls = '{' WHERE state = 'submitted'")
    yield
    other.execute("UPDATE jobs SET urls = ? WHERE state = 'submitted'", (urls,))
    other.close()


Spoil = Callable[[Path], AbstractContextManager[None]]


@pytest.mark.parametrize("budget", ["", "5/day"])
@pytest.mark.parametrize(
    ("spoil", "readable"),
    [
        (write_locked, True),
        (being_opened, True),
        (wholly_locked, False),
        (another_table, False),
        (no_money, True),
    ],
)
def test_what_is_paid_for_is_delivered_and_nothing_else_is_sent(
    paid: User, monkeypatch: pytest.MonkeyPatch, spoil: Spoil, readable: bool, budget: str
) -> None:
    monkeypatch.setenv("RMBG_BUDGET_USD", budget)
    with spoil(paid.records):
        if not budget:  # else the whole run is refused before it begins
            assert paid.remove(CACHED, NEW) == [True, False]
            assert "was not sent" in paid.said
            assert str(paid.records) in paid.said
            assert "or set RMBG_DATA to another folder, which knows nothing" in paid.said
        assert paid.remove(NEW) == [False]
        assert paid.remove(CACHED) == [True]
        assert paid.server.bills == 2
        if readable and not budget:
            assert paid.remove(WAITING) == [True]
    assert paid.remove(CACHED, WAITING, NEW) == [True, True, True]
    assert paid.server.bills == 3


def test_a_spoilt_row_is_not_no_row(paid: User) -> None:
    with spoilt_row(paid.records):
        assert paid.remove(CACHED, WAITING) == [True, False]
        assert "is damaged" in paid.said
        assert paid.rmbg("pending") == 1
    assert paid.remove(WAITING) == [True]
    assert paid.server.bills == 2


@pytest.mark.parametrize("version", [0, 1, 3, 99])
def test_a_version_that_was_set_wrong_hides_nothing(paid: User, version: int) -> None:
    other = connected(paid.records / FILE)
    other.execute(f"PRAGMA user_version = {version}")
    other.close()
    assert paid.remove(CACHED, WAITING, NEW) == [True, True, True]
    assert paid.server.bills == 3


def test_a_folder_that_is_a_file(paid: User) -> None:
    away = paid.folder / "away"
    paid.records.rename(away)
    paid.records.write_text("no folder")
    assert paid.remove(WAITING, NEW) == [False, False]
    assert "Make it a folder that can be written" in paid.said
    for command in ("pending", "resume", "costs 1", "receipts list"):
        paid.rmbg(*command.split())
        assert "cannot be kept in" in paid.said
        assert "Nothing" not in paid.said
    paid.records.unlink()
    away.rename(paid.records)
    assert paid.remove(CACHED, WAITING, NEW) == [True, True, True]
    assert paid.server.bills == 3


def test_results_that_cannot_be_read_are_not_paid_for_again(paid: User) -> None:
    """A folder where the kept result was: whether it is one cannot be found out."""
    (kept,) = [path for path in (paid.records / "results").rglob("*") if path.is_file()]
    kept.rename(paid.folder / "kept")
    kept.mkdir()
    assert paid.remove(CACHED) == [False]
    assert "the cache of paid results cannot be read" in paid.said
    kept.rmdir()
    (paid.folder / "kept").rename(kept)
    assert paid.remove(CACHED) == [True]
    assert paid.server.bills == 2


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:8192] = os.urandom(4096)
    path.write_bytes(data)


def the_command_in(said: str) -> list[str]:
    found = re.search(r"`([^`]*pending --adopt)`", said)
    assert found, said
    words = shlex.split(found[1])
    return words[1:] if words[0] == "rmbg" else words[2:]


def test_a_damaged_journal_waits_for_the_users_word(paid: User) -> None:
    damage(paid.records / FILE)
    for _ in range(2):  # the file that was begun anew is no better known to the second run
        assert paid.remove(CACHED, WAITING, NEW) == [True, False, False]
        assert f"{paid.records / FILE}.damaged-" in paid.said
        assert paid.rmbg("pending") == 1
    assert paid.server.bills == 2
    assert paid.rmbg(*the_command_in(paid.said)) == 0
    assert "Adopted" in paid.said
    assert paid.rmbg("pending") == 0
    assert paid.remove(NEW) == [True]
    assert paid.server.bills == 3
    assert paid.rmbg("pending", "--adopt") == 0
    assert "nothing to adopt" in paid.said


def test_local_pictures_do_not_wait_for_it(paid: User) -> None:
    damage(paid.records / FILE)
    target = paid.folder / "local.png"
    picture = str(paid.pictures[NEW])
    arguments = ("remove", picture, "-o", str(target), "--backend", "keyer")
    assert paid.rmbg(*arguments) == 0
    assert target.exists()
    assert paid.rmbg("receipts", "verify") == 0
    assert "1 receipts" in paid.said


def test_a_journal_that_was_taken_away_under_a_run(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TakesAway(Job):
        def sending(self, work: str) -> None:
            for companion in ("", "-wal", "-shm"):
                Path(f"{user.records / FILE}{companion}").unlink(missing_ok=True)

    shop = Shop(user.records, BACKEND)
    (result,) = shop.run([disc_frame(0, (24, 32))], TakesAway()).values()
    assert not isinstance(result, Done)
    assert "was replaced or deleted while it was in use" in str(result.failure.error)
    assert user.server.bills == 0
    assert user.rmbg(*the_command_in(str(result.failure.error))) == 0
    (result,) = shop.run([disc_frame(0, (24, 32))]).values()
    assert isinstance(result, Done)


def test_an_id_survives_a_journal_that_is_replaced_while_it_is_awaited(user: User) -> None:
    class TakesAway(Job):
        def submitted(self, work: str, ticket: Ticket) -> None:
            (user.records / FILE).rename(user.records / "elsewhere")

    user.server.plan(Fault("status", "unknown state"))
    Shop(user.records, BACKEND).run([disc_frame(0, (24, 32))], TakesAway())
    records = open_records(user.records, 0)
    (job,) = records.journal.pending()
    records.close()
    assert job.request_id in user.server.jobs
    user.server.mend()
    assert user.rmbg("resume") == 0
    assert user.server.bills == 1


class Locks(Job):
    """Takes the journal when the answer to the first submit is there, and gives it back later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.other: sqlite3.Connection | None = None

    def submitted(self, work: str, ticket: Ticket) -> None:
        if self.other is None:
            self.other = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self.other.execute("BEGIN IMMEDIATE")


def test_no_more_is_sent_when_the_answer_cannot_be_noted(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_FAL_IN_FLIGHT", "1")
    job = Locks(user.records / FILE)
    shop = Shop(user.records, BACKEND)
    frames = [disc_frame(index, (24, 32)) for index in range(4)]
    first = shop.run(frames, job)
    assert sum(isinstance(result, Done) for result in first.values()) == 1
    assert user.server.bills == 1
    assert job.other is not None
    job.other.close()
    assert all(isinstance(result, Done) for result in shop.run(frames).values())
    assert user.server.bills == 4


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_before_the_answer_could_be_noted(user: User) -> None:
    """The answer is late; meanwhile another program takes the journal; then the run is killed."""
    user.server.plan(Fault("submit", "late", seconds=1))
    user.server.seconds = 60
    command = [sys.executable, str(ROOT), "remove", str(user.pictures[NEW]), "--backend", "fal"]
    run = subprocess.Popen([*command, "-o", str(user.folder / "cut.png")])
    try:
        until = time.monotonic() + 60
        while not user.server.bills and run.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        with write_locked(user.records):
            while len(user.server.requests) < 2 and time.monotonic() < until:
                time.sleep(0.01)  # it asks for the job: it has the answer
            run.send_signal(signal.SIGKILL)
            run.wait()
    finally:
        run.kill()
    assert user.rmbg("pending") == 0
    assert "may have been billed" in user.said
    assert user.remove(NEW) == [False]
    assert user.server.bills == 1


def in_a_process(*words: str, prepare: Callable[[], object]) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT), *words],
        capture_output=True,
        text=True,
        preexec_fn=prepare,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.mark.skipif(os.name == "nt", reason="limits")
def test_a_full_disk(paid: User) -> None:
    """As large as a file may become is as full as a disk can be."""
    import resource

    most = 70_000  # less than what SQLite shares between processes, and than a new log

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))

    target = str(paid.folder / "cut.png")
    words = ("remove", str(paid.pictures[NEW]), "-o", target, "--backend", "fal")
    said = in_a_process(*words, prepare=limited)
    assert "was not sent" in said
    assert paid.server.bills == 2
    assert paid.remove(CACHED, WAITING, NEW) == [True, True, True]
    assert paid.server.bills == 3


def bound_by_modes() -> None:
    """In a process about to begin: root keeps to the modes of files like everybody."""
    bounding_set_drop, dac_override = 24, 1  # linux/prctl.h, linux/capability.h
    if ctypes.CDLL(None).prctl(bounding_set_drop, dac_override, 0, 0, 0):
        raise OSError("the right to write everywhere cannot be dropped")


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights can be dropped on Linux only")
def test_a_folder_that_can_be_read_and_not_written(paid: User) -> None:
    data = paid.folder / "data"
    everything = [data, *data.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    out = paid.folder / "cut"
    words = ["remove", *map(str, paid.pictures), "-o", f"{out}{os.sep}", "--backend", "fal"]
    said = in_a_process(*words, prepare=bound_by_modes)
    assert sorted(path.name for path in out.iterdir()) == ["cached.png", "waiting.png"]
    assert "was not sent" in said
    assert "cannot be kept in" in in_a_process("pending", prepare=bound_by_modes)
    assert paid.server.bills == 2
    for path in everything:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert paid.remove(CACHED, WAITING, NEW) == [True, True, True]
    assert paid.server.bills == 3


def test_an_earlier_version_goes_on_with_what_a_later_one_added(paid: User) -> None:
    later = connected(paid.records / FILE)
    later.execute("ALTER TABLE jobs ADD COLUMN region TEXT NOT NULL DEFAULT 'eu'")
    later.execute("ALTER TABLE receipts ADD COLUMN signature BLOB")
    later.execute("ALTER TABLE spending ADD COLUMN plan TEXT NOT NULL DEFAULT ''")
    later.execute("ALTER TABLE reservations ADD COLUMN plan TEXT NOT NULL DEFAULT ''")
    later.execute("CREATE TABLE later (id INTEGER)")
    later.execute("PRAGMA user_version = 40")
    later.close()
    assert paid.rmbg("pending", "--json") == 0
    assert paid.rmbg("resume") == 0
    assert paid.remove(CACHED, WAITING, NEW) == [True, True, True]
    assert paid.rmbg("receipts", "verify") == 0
    assert paid.rmbg("costs", "1") == 0
    later = connected(paid.records / FILE)
    assert later.execute("PRAGMA user_version").fetchone() == (40,)
    later.close()


def test_money_that_was_never_spent_is_no_budget(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = open_records(user.records, 0)
    records.journal.sending(WORK, BACKEND, PRICE, SIZE)
    records.journal.submitted(WORK, TICKET)
    records.close()
    forger = connected(user.records / FILE)
    forger.execute(
        "INSERT INTO spending SELECT date('now'), 'fal/rmbg-2.0', 'USD', 1, -9000000000000"
    )
    forger.close()
    monkeypatch.setenv("RMBG_BUDGET_USD", "5/day")
    assert user.remove(NEW) == [False]
    assert "cannot be looked up" in user.said
    assert user.server.bills == 0


def test_another_program_does_not_begin_anew_what_one_at_work_has(user: User) -> None:
    at_work = open_records(user.records, 0)
    at_work.journal.sending(WORK, BACKEND, PRICE, SIZE)
    for companion in ("", "-wal", "-shm"):
        Path(f"{user.records / FILE}{companion}").unlink()
    assert user.remove(NEW) == [False]
    assert user.server.bills == 0
    assert "was replaced or deleted while it was in use" in user.said
    at_work.close()
    assert user.rmbg(*the_command_in(user.said)) == 0
    assert user.remove(NEW) == [True]
