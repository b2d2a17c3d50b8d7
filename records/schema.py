"""The tables of records.sqlite, and how a file of an earlier version becomes one of this.

A migration is never changed once released, and only adds: tables, and columns that have a default.
An earlier version of the package names the columns that it knows, so it goes on with the file of a
later one (`user_version` above its own), leaves alone what it does not know, and never lowers the
number.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

#: One entry per version of the file; `PRAGMA user_version` counts those that it has had.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE jobs (
            id INTEGER PRIMARY KEY,
            work TEXT NOT NULL,
            backend TEXT NOT NULL,
            state TEXT NOT NULL
                CHECK (state IN ('sending', 'submitted', 'delivered', 'failed', 'abandoned')),
            request_id TEXT,
            urls TEXT NOT NULL DEFAULT '{}',
            owner TEXT,
            price TEXT,
            currency TEXT,
            width INTEGER,
            height INTEGER,
            created TEXT NOT NULL,
            changed TEXT NOT NULL,
            trouble TEXT NOT NULL DEFAULT ''
        )
        """,
        """
        CREATE UNIQUE INDEX one_open_job ON jobs (work) WHERE state IN ('sending', 'submitted')
        """,
    ),
    (
        """
        CREATE TABLE receipts (
            number INTEGER PRIMARY KEY,
            hash TEXT NOT NULL UNIQUE,
            body TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE licence_texts (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE reservations (
            id INTEGER PRIMARY KEY,
            work TEXT NOT NULL,
            backend TEXT NOT NULL,
            owner TEXT NOT NULL,
            day TEXT NOT NULL,
            currency TEXT NOT NULL,
            micros INTEGER NOT NULL CHECK (micros >= 0),
            job INTEGER UNIQUE
        )
        """,
        "CREATE INDEX reservations_of_day ON reservations (day, currency, micros)",
        "CREATE INDEX reservations_of_work ON reservations (work)",
        """
        CREATE TABLE spending (
            day TEXT NOT NULL,
            backend TEXT NOT NULL,
            currency TEXT NOT NULL,
            pictures INTEGER NOT NULL,
            micros INTEGER NOT NULL,
            PRIMARY KEY (day, backend, currency)
        ) WITHOUT ROWID
        """,
        # In the database, not in the code that writes the journal: the money then follows a row
        # whoever changes it, in the same transaction.
        """
        CREATE TRIGGER reservation_sent AFTER INSERT ON jobs
        BEGIN
            UPDATE reservations SET job = NEW.id WHERE id = (
                SELECT id FROM reservations
                WHERE work = NEW.work AND job IS NULL AND owner = coalesce(NEW.owner, owner)
                ORDER BY id LIMIT 1
            );
        END
        """,
        """
        CREATE TRIGGER reservation_settled AFTER UPDATE OF state ON jobs
        WHEN NEW.state IN ('delivered', 'failed', 'abandoned')
        BEGIN
            INSERT INTO spending (day, backend, currency, pictures, micros)
            SELECT day, backend, currency, 1, micros FROM reservations
            WHERE job = NEW.id AND NEW.state <> 'failed'
            ON CONFLICT (day, backend, currency) DO UPDATE
            SET pictures = pictures + 1, micros = micros + excluded.micros;
            DELETE FROM reservations WHERE job = NEW.id;
        END
        """,
    ),
    (
        # answered: the number of the last row when the id came; later ones were sent after that.
        # disputed: an id that came and is not known to be this row's.
        "ALTER TABLE jobs ADD COLUMN answered INTEGER",
        "ALTER TABLE jobs ADD COLUMN disputed TEXT",
        "CREATE INDEX jobs_of_request ON jobs (lower(coalesce(request_id, disputed)))",
    ),
    (
        # chain.LARGEST; SQLite cannot add a CHECK to a table that is there.
        """
        CREATE TRIGGER receipt_number BEFORE INSERT ON receipts
        WHEN NEW.number NOT BETWEEN 1 AND 9007199254740991
        BEGIN
            SELECT RAISE(ABORT, 'a receipt has a number from 1 to 9007199254740991');
        END
        """,
    ),
    (
        # See delivered.py. receipt: its id.
        """
        CREATE TABLE delivered_files (
            sha256 TEXT NOT NULL,
            receipt TEXT NOT NULL,
            part TEXT NOT NULL CHECK (part IN ('image', 'mask')),
            PRIMARY KEY (sha256, receipt, part)
        ) WITHOUT ROWID
        """,
    ),
    (
        # The idempotency key of the submit, and until when it may be repeated with it (UTC).
        "ALTER TABLE jobs ADD COLUMN repeat_key TEXT",
        "ALTER TABLE jobs ADD COLUMN repeat_until TEXT",
        "CREATE UNIQUE INDEX one_job_a_key ON jobs (repeat_key)",
    ),
)

_MADE = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX|TRIGGER) (\w+)")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this version; one that is of it, or of a later one, is only read.

    Raises sqlite3.Error, also when the file cannot be written.
    """
    if _version(connection) >= len(MIGRATIONS):
        return
    with transaction(connection):
        version = max(_version(connection), _found(connection))
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _found(connection: sqlite3.Connection) -> int:
    """The version by what is there: other programs set the number back and leave the tables.

    So every migration creates something that has a name of its own.
    """
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    version = 0
    for statements in MIGRATIONS:
        made = set(_MADE.findall("\n".join(statements)))
        if not made or made - there:
            break
        version += 1
    return version


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Do all inside or nothing; it is on the disk at the end. IMMEDIATE: what is read inside is not
    changed by another process before it is written."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # left by an exception
            connection.execute("ROLLBACK")
