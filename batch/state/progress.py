"""What is known of the pictures of one DEST, from run to run."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import TracebackType

from ...core.errors import Refusal
from ...core.money import added, cost_text
from ...records.schema import transaction
from ..result import Counts, Landed, PassedOver
from ..sources.items import Item
from .quarantine import Quarantined, listed, write_quarantine
from .queue import Queue
from .state_file import lock, open_state, unusable
from .survey import FOUND, Survey, Terms, take_stock
from .targets import blob, text

_ROW = """
SELECT f.rank, f.verdict, f.picture, p.target, p.mask, f.size, f.modified
FROM found f JOIN pictures p ON p.id = f.picture WHERE f.key = ?
"""
_ENDED = "UPDATE found SET verdict = ?, repeat = ? WHERE rank = ?"
_DONE = """
UPDATE pictures SET status = 'done', size = ?, modified = ?, recipe = ?, target_bytes = ?,
    mask_bytes = ?, seconds = ?, cost = ?, receipt = ?, warnings = ?, error = NULL, reason = NULL,
    tries = 0, ended = ?
WHERE id = ?
"""
_FAILED = """
UPDATE pictures SET status = ?, tries = CASE
        WHEN size IS ? AND modified IS ? THEN tries + 1 ELSE 1 END,
    size = ?, modified = ?, recipe = ?, error = ?, reason = ?, ended = ?
WHERE id = ?
"""


class State:
    """DEST/.rmbg/state.sqlite, held by one process at a time, which may call it from any thread.

    What a method has noted is kept even when the process is killed on its return. Raises BadOption,
    from every method, when the file cannot be used, and at first when another run holds it. kept: a
    file that no result may replace, beside the sources.
    """

    def __init__(self, dest: Path, *, kept: Path | None = None) -> None:
        self._dest = dest
        self._kept = kept
        self._guard = threading.RLock()
        self._recipe = ""
        self._verdicts: Counter[str] = Counter()
        self._cost: Decimal | None = Decimal(0)
        self._found: Survey | None = None
        self._queues = 0
        self._lock = lock(dest)
        try:
            self._connection = open_state(dest, FOUND)
        except BaseException:
            self._lock.release(vain=True)
            raise
        self._closed = False

    def __enter__(self) -> State:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        refused = kind is not None and issubclass(kind, Refusal)
        self._let_go(vain=refused or (kind is None and not self._verdicts.total()))

    def survey(
        self, items: Iterable[Item], recipe: str, *, retry: bool = False, force: bool = False
    ) -> Survey:
        """Compare the pictures of the sources with what is known; all of it, or nothing when an
        item raises.

        Done is what was done by the same recipe (its digest), from a file of unchanged size and
        time, and has its result and mask there with the size that was written. What is quarantined,
        unchanged, stays so for the same recipe unless `retry`. Everything else waits; with `force`
        all of it. What the sources do not hold any more is not counted, and keeps its row.

        A known picture keeps its number, and its target as long as its naming is the same; a new
        one takes a free target (a.png, a-2.png). Names are compared as the strictest file system
        does. A target that is one of the sources, or the file `kept`, gives the Item a `trouble`.
        Raises BadOption when one key stands for different files or targets.
        """
        terms = Terms(recipe, retry, force, self._kept)
        with self._changing() as connection:
            for number in range(self._queues):
                connection.execute(f"DROP TABLE IF EXISTS queue_{number}")
            found = take_stock(connection, self._dest, items, terms)
        with self._guard:
            self._recipe, self._found, self._cost = recipe, found, Decimal(0)
            self._verdicts = Counter(
                done=found.done, quarantined=found.quarantined, waiting=found.waiting
            )
        return found

    def preview(
        self, items: Iterable[Item], recipe: str, *, retry: bool = False, force: bool = False
    ) -> Survey:
        """What `survey` would find; nothing is changed."""
        terms = Terms(recipe, retry, force, self._kept)
        with self._changing() as connection:
            connection.execute("SAVEPOINT preview")
            found = take_stock(connection, self._dest, items, terms)
            connection.execute("ROLLBACK TO preview")
        return found

    def waiting(self) -> Sequence[Item]:
        """What waits at this moment, in the order of the survey; it stays the same while pictures
        are finished, until the next survey.

        Read in pages, so that memory does not depend on its length. What is read from it counts as
        not done from then on: its result is about to be replaced.
        """
        with self._changing() as connection:
            number = self._queues
            self._queues += 1
            connection.execute(
                f"CREATE TEMP TABLE queue_{number} (turn INTEGER PRIMARY KEY, rank INTEGER)"
            )
            connection.execute(
                f"INSERT INTO queue_{number} (rank) "
                "SELECT rank FROM found WHERE verdict = 'waiting' ORDER BY rank"
            )
        return Queue(self._changing, f"queue_{number}", self._verdicts["waiting"])

    def note(self, end: Landed) -> None:
        """Keep how one picture has ended. Raises KeyError for one that is not in the survey.

        Its file is noted as the survey saw it: what changed since is done again by the next run.
        """
        failed = "quarantined" if end.lasting else "failed"
        verdict = "done_now" if end.error is None else failed
        with self._guard:
            with self._changing() as connection:
                row = connection.execute(_ROW, (blob(end.key),)).fetchone()
                if row is None:
                    raise KeyError(end.key)
                rank, before, picture, target, mask, *file = row
                connection.execute(_ENDED, (verdict, end.may_repeat, rank))
                if end.error is None:
                    sizes = end.written.get(text(target)), end.written.get(text(mask or b""))
                    said = json.dumps(end.warnings) if end.warnings else None
                    paid = end.seconds, cost_text(end.cost), end.receipt, said
                    done = *file, self._recipe, *sizes, *paid, _now(), picture
                    connection.execute(_DONE, done)
                else:
                    what = self._recipe, end.kind, blob(end.error), _now(), picture
                    connection.execute(_FAILED, (verdict, *file, *file, *what))
            self._lock.made = ()  # they are to stay
            self._verdicts[before] -= 1
            self._verdicts[verdict] += 1
            if end.error is None:
                self._cost = added(self._cost, end.cost)

    def again(self) -> int:
        """Let what failed in this run, and may be repeated, wait again; returns how many."""
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE found SET verdict = 'waiting', repeat = 0 "
                "WHERE verdict = 'failed' AND repeat"
            ).rowcount
        with self._guard:
            self._verdicts["failed"] -= changed
            self._verdicts["waiting"] += changed
        return changed

    def counts(self) -> Counts:
        """How the pictures of the survey stand at this moment; quick."""
        with self._guard:
            verdicts = self._verdicts
            return Counts(
                verdicts.total(),
                verdicts["done"],
                verdicts["done_now"],
                verdicts["quarantined"],
                verdicts["failed"],
                verdicts["waiting"],
                self._cost,
                self._found.passed_over if self._found else 0,
            )

    def passed_over(self, most: int) -> list[PassedOver]:
        """The first of the survey that are results of this package."""
        with self._changing() as connection:
            rows = connection.execute(
                "SELECT key, passed_over FROM found WHERE passed_over IS NOT NULL"
                " ORDER BY rank LIMIT ?",
                (most,),
            ).fetchall()
        return [PassedOver(text(key), how) for key, how in rows]

    def quarantined(self) -> Iterator[Quarantined]:
        """Those of the survey, in its order."""
        return listed(self._changing, self._dest)

    def close(self) -> None:
        """Write DEST/.rmbg/quarantine.jsonl, one object a line, and let go of DEST. Calling it
        twice is harmless."""
        self._let_go(vain=False)

    def _let_go(self, *, vain: bool) -> None:
        """vain: of a new DEST in which no picture has ended, nothing stays behind."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            vain = vain and bool(self._lock.made)
            try:
                if self._found and not vain:
                    write_quarantine(self._dest, self.quarantined())
            finally:
                self._connection.close()
                self._lock.release(vain=vain)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction, for this thread alone."""
        with self._guard:
            try:
                with transaction(self._connection):
                    yield self._connection
            except sqlite3.Error as error:
                if isinstance(error, sqlite3.ProgrammingError):
                    raise
                raise unusable(self._dest, error) from error


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
