"""The tables of records.sqlite, and how a file of an earlier version becomes one of this.

A migration is never changed once released, and only adds: an earlier version of the package can
then go on with the file of a later one.
"""

from __future__ import annotations

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
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this version. Raises sqlite3.Error, also when it cannot be written."""
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing; on the disk when it ends. IMMEDIATE: what is read inside is not
    changed by another process before it is written."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # left by an exception
            connection.execute("ROLLBACK")
