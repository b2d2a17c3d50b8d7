"""The journal of paid work: states, owners, crashes, damage, many hands."""

# Pins the inside of records.journal
# Pins the inside of records.locks
# Pins the inside of records.opening
# Pins the inside of records.schema

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.core.errors import BackendFailed
from rmbg_nodes.core.types import Ticket
from rmbg_nodes.records import opening, schema
from rmbg_nodes.records.journal import LOST, Journal
from rmbg_nodes.records.locks import ProcessLock
from rmbg_nodes.records.opening import FILE
from rmbg_nodes.tests.support.records import BACKEND, PRICE, SIZE, TICKET, WORK, start, until_said

SEND = """
from rmbg_nodes.core.types import Price, Ticket
from rmbg_nodes.records.journal import Journal
journal = Journal.open(folder)
journal.sending("fal/rmbg-2.0:a1", "fal/rmbg-2.0", Price(Decimal("0.018"), "USD", "", ""), (40, 30))
"""
WAIT = "print('ready', flush=True); sys.stdin.read()\n"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path)
    yield opened
    opened.close()


def send(journal: Journal, work: str = WORK, replaces: Ticket | None = None) -> None:
    journal.sending(work, BACKEND, PRICE, SIZE, replaces=replaces)


def states(folder: Path) -> list[tuple[str, str | None, str | None]]:
    connection = sqlite3.connect(folder / FILE)
    rows = connection.execute("SELECT state, request_id, owner FROM jobs ORDER BY id").fetchall()
    connection.close()
    return rows


def test_the_life_of_a_job(journal: Journal, tmp_path: Path) -> None:
    assert journal.known(WORK) is None
    send(journal)
    with pytest.raises(BackendFailed, match="run again when it has finished"):
        journal.known(WORK)
    journal.submitted(WORK, TICKET)
    assert journal.known(WORK) == TICKET
    (job,) = journal.pending()
    assert (job.ticket, job.size, job.price, job.currency) == (TICKET, SIZE, PRICE.amount, "USD")
    assert job.resumable
    assert job.running
    assert job.created.endswith("+00:00")
    journal.delivered(WORK)
    assert journal.known(WORK) is None
    assert journal.pending() == []
    assert states(tmp_path) == [("delivered", "req-1", None)]


@pytest.mark.parametrize(
    ("end", "state"), [("not_sent", "failed"), ("failed", "failed"), ("forget", "abandoned")]
)
def test_what_is_not_owed_may_be_sent_again(
    journal: Journal, tmp_path: Path, end: str, state: str
) -> None:
    send(journal)
    getattr(journal, end)(WORK)
    assert journal.known(WORK) is None
    send(journal)
    assert [row[0] for row in states(tmp_path)] == [state, "sending"]


def test_not_sent_never_closes_what_has_an_id(journal: Journal) -> None:
    send(journal)
    journal.submitted(WORK, TICKET)
    journal.not_sent(WORK)
    assert journal.known(WORK) == TICKET


def test_a_lost_answer_is_listed_and_paid_again_only_on_demand(
    journal: Journal, tmp_path: Path
) -> None:
    send(journal)
    journal.submitted(WORK, Ticket(BACKEND, None))
    lost = journal.known(WORK)
    assert lost == Ticket(BACKEND, None)
    (job,) = journal.pending()
    assert (job.state, job.resumable, job.running, job.trouble) == ("sending", False, False, LOST)
    with pytest.raises(BackendFailed):
        send(journal)
    send(journal, replaces=lost)
    assert [row[0] for row in states(tmp_path)] == ["abandoned", "sending"]


def test_sending_is_refused_when_another_run_was_quicker(journal: Journal, tmp_path: Path) -> None:
    other = Journal.open(tmp_path)
    lost = Ticket(BACKEND, None)
    assert journal.known(WORK) is other.known(WORK) is None
    send(other)
    for replaces in (None, lost):  # `lost`: the row is open without an id, but its owner lives
        with pytest.raises(BackendFailed):
            send(journal, replaces=replaces)
    other.submitted(WORK, TICKET)
    for replaces in (None, lost, Ticket(BACKEND, "req-0")):
        with pytest.raises(BackendFailed):
            send(journal, replaces=replaces)
    other.delivered(WORK)
    with pytest.raises(BackendFailed):
        send(journal, replaces=lost)
    assert [row[0] for row in states(tmp_path)] == ["delivered"]
    other.close()


def test_kept_work_stays_with_its_trouble_and_without_an_owner(journal: Journal) -> None:
    send(journal)
    journal.submitted(WORK, TICKET)
    journal.keep(WORK, "not finished after 300 s")
    (job,) = journal.pending()
    assert (job.trouble, job.running, job.resumable) == ("not finished after 300 s", False, True)
    assert journal.known(WORK) == TICKET


def test_an_accepted_job_that_was_never_announced_gets_its_row(journal: Journal) -> None:
    journal.submitted(WORK, TICKET, price=PRICE, size=SIZE)
    (job,) = journal.pending()
    assert (job.ticket, job.price, job.size, job.state) == (
        TICKET,
        PRICE.amount,
        SIZE,
        "submitted",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kill_between_sending_and_submitted(journal: Journal, tmp_path: Path) -> None:
    with start(SEND + WAIT, tmp_path) as process:
        until_said(process, "ready")
        with pytest.raises(BackendFailed, match="another run is sending"):
            journal.known(WORK)
        (job,) = journal.pending()
        assert job.running
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert journal.known(WORK) == Ticket(BACKEND, None)
        (job,) = journal.pending()
        assert (job.running, job.resumable, job.size) == (False, False, SIZE)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kill_after_submitted_leaves_the_id(journal: Journal, tmp_path: Path) -> None:
    code = "journal.submitted('fal/rmbg-2.0:a1', Ticket('fal/rmbg-2.0', 'req-1', {'a': 'b'}))\n"
    with start(SEND + code + "os.kill(os.getpid(), 9)", tmp_path) as process:
        process.wait()
    assert journal.known(WORK) == Ticket(BACKEND, "req-1", {"a": "b"})
    assert not journal.pending()[0].running


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_is_not_the_owner(tmp_path: Path) -> None:
    # The child outlives its parent, and neither keeps it alive nor shares its connection.
    code = """
import signal
if os.fork() == 0:
    print(os.getpid(), flush=True)
    os.kill(os.getppid(), signal.SIGKILL)
signal.pause()
"""
    checks = """
own = Journal.open(folder)
if os.fork() == 0:
    try:
        journal.known("fal/rmbg-2.0:a1")
        print("no live owner was seen", flush=True)
    except module.BackendFailed:
        journal.submitted("w2", Ticket("b", "id-of-child"))
        print("parent lives", flush=True)
    os._exit(0)
os.wait()
print(journal.known("w2").request_id, flush=True)
"""
    with start(SEND + "from rmbg_nodes.core import errors as module\n" + checks, tmp_path) as one:
        out, err = one.communicate(timeout=60)
    assert out.split("\n")[:2] == ["parent lives", "id-of-child"], err
    journal = Journal.open(tmp_path)
    journal.forget(WORK)
    with start(SEND + code, tmp_path) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.wait()
        try:
            assert journal.known(WORK) == Ticket(BACKEND, None)
        finally:
            os.kill(child, signal.SIGKILL)
    journal.close()


def test_files_of_dead_owners_are_removed(tmp_path: Path) -> None:
    first = ProcessLock(tmp_path)
    dead = tmp_path / "0123456789abcdef.lock"
    dead.touch()
    second = ProcessLock(tmp_path)
    second.clean_up()
    assert not dead.exists()
    assert second.lives(first.name)
    assert first.lives(second.name)
    assert not second.lives("0123456789abcdef")
    first.release()
    assert not second.lives(first.name)
    second.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["head", "middle", "text"])
def test_a_damaged_file_is_put_aside(tmp_path: Path, where: str) -> None:
    journal = Journal.open(tmp_path)
    for number in range(200):
        send(journal, f"{WORK}{number}")
    journal.close()
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    if where == "text":
        data = bytearray(b"this is no database " * 100)
    else:
        at = 0 if where == "head" else len(data) // 2
        data[at : at + 5000] = bytes(range(250)) * 20
    path.write_bytes(data)
    mended = Journal.open(tmp_path)
    assert len(mended.warnings) == 1
    with pytest.raises(BackendFailed, match="pending --adopt"):
        send(mended)
    assert "damaged" in mended.warnings[0]
    assert "counts from 0 again, also towards a budget" in mended.warnings[0]
    assert mended.pending() == []
    (aside,) = [name for name in os.listdir(tmp_path) if name.startswith(f"{FILE}.damaged-")]
    assert (tmp_path / aside).read_bytes() == data
    assert mended.adopt()
    send(mended)
    mended.close()
    again = Journal.open(tmp_path)
    assert again.warnings == []
    assert len(again.pending()) == 1
    again.close()


def test_a_damaged_file_is_put_aside_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database " * 100)
    at_once = opening._put_aside

    def slowly(path: Path, aside: str) -> None:
        time.sleep(0.05)  # time for the others to find the damage, too
        at_once(path, aside)

    monkeypatch.setattr(opening, "_put_aside", slowly)
    journals: list[Journal] = []
    threads = [
        threading.Thread(target=lambda: journals.append(Journal.open(tmp_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bool(journal.adopt()) for journal in journals] == [True, False, False, False]
    for number, journal in enumerate(journals):
        send(journal, f"{WORK}{number}")
    assert sum(len(journal.warnings) for journal in journals) == 1
    assert [len(journal.pending()) for journal in journals] == [4] * 4
    for journal in journals:
        journal.close()


def in_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "records"


def a_folder_for_a_file(folder: Path) -> Path:
    (folder / FILE).mkdir()
    return folder


def not_writable(folder: Path) -> Path:
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("root and Windows write into any folder")
    folder.chmod(0o500)
    return folder


@pytest.mark.parametrize("spoil", [in_a_file, a_folder_for_a_file, not_writable])
def test_what_cannot_be_written_is_no_empty_journal(tmp_path: Path, spoil) -> None:
    journal = Journal.open(spoil(tmp_path))
    assert len(journal.warnings) == 1
    assert "nothing is sent to a provider" in journal.warnings[0]
    for refused in (lambda: journal.known(WORK), lambda: send(journal), journal.pending):
        with pytest.raises(sqlite3.OperationalError):
            refused()
    journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_only_the_user_reads_the_journal(journal: Journal, tmp_path: Path) -> None:
    send(journal)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {FILE, f"{FILE}-wal"}
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_a_file_of_an_earlier_version_gains_the_new_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path)
    send(journal)
    journal.submitted(WORK, TICKET)
    journal.close()
    later = (*schema.MIGRATIONS, ("CREATE TABLE later (id INTEGER PRIMARY KEY)",))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    for _ in range(2):
        journal = Journal.open(tmp_path)
        assert journal.known(WORK) == TICKET
        journal.close()
    connection = sqlite3.connect(tmp_path / FILE)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(later),)
    assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)
    connection.close()
    monkeypatch.undo()
    journal = Journal.open(tmp_path)  # this version with the file of a later one
    assert (journal.known(WORK), journal.warnings) == (TICKET, [])
    journal.close()


def test_a_migration_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection)
    version = len(schema.MIGRATIONS)
    names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    before = connection.execute(names).fetchall()
    broken = ("CREATE TABLE later (id INTEGER)", "CREATE TABLE jobs (id INTEGER)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    with pytest.raises(sqlite3.OperationalError, match="jobs already exists"):
        schema.migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == version
    assert connection.execute(names).fetchall() == before
    connection.close()


def test_many_threads(journal: Journal, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def lives(thread: int) -> None:
        try:
            for number in range(50):
                work = f"{WORK}-{thread}-{number}"
                assert journal.known(work) is None
                send(journal, work)
                journal.submitted(work, Ticket(BACKEND, f"{thread}-{number}"))
                if number % 2:
                    journal.delivered(work)
        except BaseException as error:  # noqa: BLE001  # shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=lives, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(journal.pending()) == 200
    assert {job.request_id for job in journal.pending()} == {
        f"{thread}-{number}" for thread in range(8) for number in range(0, 50, 2)
    }
    assert len(states(tmp_path)) == 400


def test_of_several_processes_one_sends_each_picture(tmp_path: Path) -> None:
    code = """
from rmbg_nodes.core.errors import BackendFailed
from rmbg_nodes.core.types import Price, Ticket
from rmbg_nodes.records.journal import Journal
print("ready", flush=True)
sys.stdin.readline()
journal = Journal.open(folder)  # all at the same moment, on a file that does not exist yet
sent = []
for number in range(40):
    work = f"b:{number}"
    try:
        if journal.known(work) is None:
            journal.sending(work, "b", Price(Decimal(1), "USD", "", ""), (1, 1))
            journal.submitted(work, Ticket("b", f"{os.getpid()}-{number}"))
            sent.append(number)
    except BackendFailed:
        pass
print(*sent, *journal.warnings)
"""
    processes = [start(code, tmp_path) for _ in range(3)]
    for process in processes:
        until_said(process, "ready")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert [err for _, err in answers] == [""] * 3
    sent = [int(number) for out, _ in answers for number in out.split()]
    assert sorted(sent) == list(range(40))


def test_a_commit_is_durable(journal: Journal) -> None:
    with journal._database.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 10_000
