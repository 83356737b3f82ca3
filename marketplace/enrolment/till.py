"""Where most orders are placed: those that come in at the same moment together, with two statements and one commit.

Of the threads of a process one serves at a time, for itself and for all who came while the one before was served;
nobody waits for company. In a rush that is most of what an order costs: eight orders together cost the database less
than half of what they cost alone. One statement reads the facts of all, without a lock; each is decided by itself; one
writes those that are to be written. That is a function of the database (`place_orders`, migration 0051): it locks the
runs and leaves out every order whose facts have changed since. What it leaves out is placed under the lock, alone
(`orders.place`), and so are all of them when it fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from flask import current_app
from psycopg.types.json import Jsonb
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import claims, placing
from marketplace.foundation import keeping
from marketplace.foundation.database import are_statements_joined, db, forget, single_statements
from marketplace.foundation.errors import NotFound, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from flask import Flask

    from marketplace.enrolment.placing import Seen, Wanted
    from marketplace.foundation.database import Statements

log = structlog.get_logger("orders")

NAME = "marketplace.till"
MOST_TOGETHER = 16
_LOOK = """
SELECT one.number, facts.*
  FROM jsonb_to_recordset(%(orders)s) AS one (number integer, run bigint, person bigint, key text, now timestamptz)
 CROSS JOIN LATERAL placing_facts(one.run, one.person, one.key, one.now) AS facts
"""
_PLACE = "SELECT order_number FROM place_orders(%(orders)s)"
# What to write for an order, by the facts; None if it has to be placed under the lock. Raises Refused.
Decide = Callable[["Seen"], "dict[str, Any] | None"]


def place(wanted: Wanted, decide: Decide, *, now: datetime) -> str | None:
    """Place an order as `decide` says, if everything but the number of seats is still as it saw it when it is written.

    Returns the public id of the order, also of one that was there already. Locks the run, inside the statement that
    writes. None, and nothing is written, when `decide` says so, something changed meanwhile, no seat is left, or the
    run was locked by somebody else for long (which is an error of the database inside a `transaction()`). Raises what
    `decide` raises, in the thread that asked, and NotFound.
    """
    turn = _Turn(wanted, decide, now)
    if are_statements_joined():
        # What this transaction has done, nobody else's statement can see.
        _serve([turn])
    else:
        of(current_app).take(turn, _serve)
    if turn.error is not None:
        raise turn.error
    if turn.written is not None:
        forget(CourseRun, wanted.run_id, "seats_taken")
        claims.note_written(turn.written)
    return turn.public_id


class _Turn:
    """An order that waits to be placed; `gate` opens when it was, or when its own thread is to serve."""

    def __init__(self, wanted: Wanted, decide: Decide, now: datetime) -> None:
        self.wanted, self.decide, self.now = wanted, decide, now
        self.gate = threading.Lock()
        self.gate.acquire()
        self.is_over = False
        # What its decision raised, whichever thread decided it.
        self.error: Exception | None = None
        self.public_id: str | None = None
        # What was written for it; None where the order was there already.
        self.written: dict[str, Any] | None = None


class Till:
    """The queue of one process."""

    def __init__(self) -> None:
        """Nobody waits, nobody serves."""
        self._mutex = threading.Lock()
        self._waiting: list[_Turn] = []
        self._is_busy = False

    def take(self, turn: _Turn, serve: Callable[[Sequence[_Turn]], None]) -> None:
        """Have this turn served: by another thread, or by calling `serve` for it and those who wait behind it.

        Raises what that call raises, but for errors of the database: after those each goes on alone, and an order that
        was written all the same is found by the key of its form.
        """
        with self._mutex:
            self._waiting.append(turn)
            serves = not self._is_busy
            self._is_busy = True
        if not serves:
            turn.gate.acquire()
            if turn.is_over:
                return
        together = [turn]
        try:
            # Threads that are on their way, if there are any, run to the queue first; alone this takes a microsecond.
            time.sleep(0)
            together = self._next()
            serve(together)
        except (psycopg.Error, NoConnection) as error:
            log.warning("orders were not placed together", orders=len(together), error=type(error).__name__)
        finally:
            self._hand_on(together, turn)

    def _next(self) -> list[_Turn]:
        """Those who are served now, in the order they came; of one person in one run, or of one form, only the first.

        The other finds that order when its turn comes.
        """
        together: list[_Turn] = []
        left: list[_Turn] = []
        taken: set[object] = set()
        with self._mutex:
            for turn in self._waiting:
                wanted = turn.wanted
                mine = {(wanted.request_key, wanted.person_id), (wanted.run_id, wanted.person_id)}
                is_next = len(together) < MOST_TOGETHER and taken.isdisjoint(mine)
                (together if is_next else left).append(turn)
                taken |= mine
            self._waiting = left
        return together

    def _hand_on(self, together: Iterable[_Turn], mine: _Turn) -> None:
        """Let those who were served go, and the first who waits serve next."""
        for turn in together:
            turn.is_over = True
            if turn is not mine:
                turn.gate.release()
        with self._mutex:
            if self._waiting:
                self._waiting[0].gate.release()
            else:
                self._is_busy = False


def of(app: Flask) -> Till:
    """The till of this application in this process."""
    till: Till = app.extensions[NAME]
    return till


def _serve(turns: Sequence[_Turn]) -> None:
    """Read the facts of all, decide each, write what is to be written; the first is that of the thread that serves."""
    with single_statements() as statements:
        _serve_with(statements, turns)


def _serve_with(statements: Statements, turns: Sequence[_Turn]) -> None:
    asked = [
        {
            "number": number,
            "run": turn.wanted.run_id,
            "person": turn.wanted.person_id,
            "key": turn.wanted.request_key,
            "now": turn.now.isoformat(),
        }
        for number, turn in enumerate(turns)
    ]
    seen = {number: placing.seen_in(facts) for number, *facts in statements.rows(_LOOK, {"orders": Jsonb(asked)})}
    with keeping.one_moment():
        orders = {
            number: order
            for number, turn in enumerate(turns)
            if (order := _decided(turn, seen.get(number), is_own=turn is turns[0]))
        }
    if not orders:
        return
    wanted = [order | {"number": number} for number, order in orders.items()]
    for (number,) in statements.rows(_PLACE, {"orders": Jsonb(wanted)}):
        turns[number].public_id, turns[number].written = orders[number]["public_id"], orders[number]


def _decided(turn: _Turn, seen: Seen | None, *, is_own: bool) -> dict[str, Any] | None:
    """What to write for this turn; what is certain already, or its fault, is noted in it. Raises one's own fault."""
    if seen is None:
        turn.error = NotFound()
        return None
    if seen.facts.order is not None:
        turn.public_id = seen.facts.order
        return None
    try:
        order = turn.decide(seen)
    except Refused as refusal:
        turn.error = refusal
        return None
    except Exception as error:
        if is_own:
            raise
        # A fault is raised in the thread whose order it is. If it was the database's, the session is this thread's, and
        # so may the fault be: the order goes on alone.
        is_of_database = isinstance(error, psycopg.Error | SQLAlchemyError)
        turn.error = None if is_of_database else error
        _mend_session()
        return None
    if order is None:
        return None
    moments = {"now": order["now"].isoformat(), "until": order["until"].isoformat()}
    return order | moments | {"mark": seen.mark}


def _mend_session() -> None:
    """Leave this thread's session as after a failed request, also when its connection is dead."""
    try:
        db.session.rollback()
    except (psycopg.Error, SQLAlchemyError):
        db.session().invalidate()
