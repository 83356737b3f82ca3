"""What the sandbox remembers, in one SQLite file: objects, answers under idempotency keys, events and switches."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = """
CREATE TABLE IF NOT EXISTS object (id TEXT PRIMARY KEY, kind TEXT NOT NULL, made INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, made);
CREATE TABLE IF NOT EXISTS answer (key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL,
    body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'waiting');
CREATE TABLE IF NOT EXISTS switch (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
Body = dict[str, Any]


def now() -> int:
    """The sandbox's own clock in whole seconds, shifted with the marketplace's in journeys."""
    return int(time.time()) + int(os.environ.get("MARKETPLACE_CLOCK_OFFSET") or 0)


def draw_id(prefix: str) -> str:
    """An id that looks like Stripe's."""
    return f"{prefix}_{secrets.token_hex(12)}"


class Store:
    """One connection, one writer at a time: the whole request is one transaction."""

    def __init__(self, path: Path | str) -> None:
        """Open or make the file."""
        self.lock = threading.RLock()
        self.connection = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None)
        self.connection.executescript(SCHEMA)
        self.depth = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Everything inside happens or nothing."""
        with self.lock:
            if self.depth == 0:
                self.connection.execute("BEGIN IMMEDIATE")
            self.depth += 1
            try:
                yield
            except BaseException:
                self.depth -= 1
                if self.depth == 0:
                    self.connection.execute("ROLLBACK")
                raise
            self.depth -= 1
            if self.depth == 0:
                self.connection.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.lock:
            return self.connection.execute(query, values).fetchall()

    def find(self, object_id: str) -> Body | None:
        """The object, or None."""
        found = self.rows("SELECT body FROM object WHERE id = ?", object_id)
        return json.loads(found[0][0]) if found else None

    def save(self, body: Body) -> Body:
        """Insert or replace an object by its id."""
        with self.changing():
            self.connection.execute(
                "INSERT INTO object (id, kind, made, body) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
                (body["id"], body["object"], body["created"], json.dumps(body)),
            )
        return body

    def list_kind(self, kind: str) -> list[Body]:
        """All objects of a kind, newest first."""
        query = "SELECT body FROM object WHERE kind = ? ORDER BY made DESC, rowid DESC"
        return [json.loads(row[0]) for row in self.rows(query, kind)]

    def answered(self, key: str) -> tuple[str, int, Body] | None:
        """What was asked and answered under an idempotency key: (request, status, body)."""
        found = self.rows("SELECT request, status, body FROM answer WHERE key = ?", key)
        return (found[0][0], found[0][1], json.loads(found[0][2])) if found else None

    def remember_answer(self, key: str, request: str, status: int, body: Body) -> None:
        """Answer the same to the same key from now on."""
        with self.changing():
            self.connection.execute(
                "INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?)", (key, request, status, json.dumps(body))
            )

    def enqueue(self, event_id: str, due: float) -> None:
        """Deliver an event at a moment of the machine's clock."""
        with self.changing():
            self.connection.execute("INSERT INTO delivery (event, due) VALUES (?, ?)", (event_id, due))

    def due_deliveries(self, *, newest_first: bool) -> list[tuple[int, str, int]]:
        """Deliveries to make now: (number, event id, tries so far)."""
        order = "DESC" if newest_first else "ASC"
        query = (
            "SELECT number, event, tries FROM delivery WHERE state = 'waiting' AND due <= ?"  # noqa: S608 - two constants
            f" ORDER BY number {order}"
        )
        return self.rows(query, time.time())

    def note_delivery(self, number: int, *, state: str, due: float = 0, tries: int = 0) -> None:
        """Remember how a delivery went."""
        with self.changing():
            self.connection.execute(
                "UPDATE delivery SET state = ?, due = ?, tries = ? WHERE number = ?", (state, due, tries, number)
            )

    def switch(self, name: str) -> str:
        """A switch's value, "" when it was never set."""
        found = self.rows("SELECT value FROM switch WHERE name = ?", name)
        return str(found[0][0]) if found else ""

    def turn(self, name: str, value: str) -> None:
        """Set a switch."""
        with self.changing():
            self.connection.execute("INSERT OR REPLACE INTO switch VALUES (?, ?)", (name, value))
