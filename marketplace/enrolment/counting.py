"""Seats counted: taken, given back, kept and released. Every function works on a run that its caller has locked.

The order of locks, everywhere: order → run → pool → hold → waiting-list entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from marketplace.accounts import keys
from marketplace.enrolment.models import Enrolment, HoldEnd, SeatHold
from marketplace.enrolment.rules import RunFull
from marketplace.enrolment.seat_models import SeatPool, WaitingEntry, WaitingState
from marketplace.foundation import ids
from marketplace.foundation.database import db, one_row

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.catalog.models import CourseRun

# The pools with a free seat that someone may take: a person, with the hash of a code they have told.
_OPEN_TO = """
SELECT id FROM seat_pool
 WHERE run_id = %(run)s AND released_at IS NULL AND taken < size
   AND (organisation_id IN (SELECT organisation_id FROM membership WHERE person_id = {person})
        OR email_domain = (SELECT split_part(email, '@', 2) FROM person WHERE id = {person})
        OR code_hash = {code}
"""
_ENTITLED = (
    _OPEN_TO.format(person="%(person)s", code="%(code)s") + " OR id = %(opened)s) ORDER BY release_at, id LIMIT 1"
)
_FIRST_ENTITLED = f"""
SELECT entry.id FROM waiting_entry AS entry
 WHERE entry.run_id = %(run)s AND entry.state = 'waiting'
   AND EXISTS ({_OPEN_TO.format(person="entry.person_id", code="entry.code_hash")}))
 ORDER BY entry.rank, entry.joined_at, entry.id LIMIT 1
"""  # noqa: S608 - put together from words of our own; values go by their places


def find_pool_for(run: CourseRun, person_id: int, code: str | None = None, *, opened: int | None = None) -> int | None:
    """The pool with a free seat that this person may take one of: as a member, by their address or by a code's hash.

    `opened` is one that they may use besides: their voucher's, or the one their expired hold was of.
    """
    return find_pool(run.id, person_id, code, opened) if run.seats_kept else None


def find_pool(run_id: int, person_id: int, code: str | None, opened: int | None) -> int | None:
    """The same by the run's id; one statement."""
    row = one_row(_ENTITLED, {"run": run_id, "person": person_id, "code": code, "opened": opened})
    return None if row is None else int(row[0])


def find_first_waiting(run: CourseRun) -> int | None:
    """The waiting entry that is the first of those who may take a free seat of a pool; one statement, however many."""
    db.session.flush()
    row = one_row(_FIRST_ENTITLED, {"run": run.id}) if run.seats_kept else None
    return None if row is None else int(row[0])


def has_seat_for(run: CourseRun, person_id: int, code: str | None = None, *, opened: int | None = None) -> bool:
    """Whether the person could take a seat now, a public one or one of a pool."""
    return run.seats_left() > 0 or find_pool_for(run, person_id, code, opened=opened) is not None


def take_seat(run: CourseRun, person_id: int, code: str | None = None, *, opened: int | None = None) -> int | None:
    """Count one seat as taken, of the person's pool or else a public one; returns the pool's id. Raises RunFull."""
    pool_id = find_pool_for(run, person_id, code, opened=opened)
    if pool_id is None and not run.seats_left():
        raise RunFull
    if pool_id is not None:
        take_from_pool(pool_id)
    run.seats_taken += 1
    recount(run)
    return pool_id


def give_back_seat(run: CourseRun, pool_id: int | None) -> None:
    """Count one seat as free again; that of a pool is kept for its audience until the pool is released."""
    run.seats_taken -= 1
    db.session.flush()
    if pool_id is not None:
        one_row("UPDATE seat_pool SET taken = taken - 1 WHERE id = %(id)s RETURNING id", {"id": pool_id})
        recount(run)


def take_from_pool(pool_id: int) -> None:
    """Count one seat of a pool as taken; its run's seats_taken is the caller's to count."""
    one_row("UPDATE seat_pool SET taken = taken + 1 WHERE id = %(id)s RETURNING id", {"id": pool_id})


def recount(run: CourseRun) -> None:
    """Write what is counted here and read both counters again: the database changes seats_kept by itself."""
    db.session.flush()
    db.session.refresh(run, ["seats_taken", "seats_kept"])


def end_hold(hold: SeatHold, reason: HoldEnd, *, now: datetime) -> None:
    """Note that a locked hold has ended, and why; its seat is the caller's to give back or to keep as an enrolment."""
    hold.ended_at = now
    hold.end_reason = reason
    db.session.flush()


def release_expired_of(run: CourseRun, *, now: datetime) -> int:
    """End the expired holds of the run and free their seats; offers among them have passed. Returns how many."""
    query = select(SeatHold).where(SeatHold.run_id == run.id, SeatHold.ended_at.is_(None), SeatHold.until <= now)
    expired = db.session.scalars(query.order_by(SeatHold.id).with_for_update(key_share=True)).all()
    for hold in expired:
        end_hold(hold, HoldEnd.EXPIRED, now=now)
        give_back_seat(run, hold.pool_id)
    if expired:
        passed = update(WaitingEntry).where(
            WaitingEntry.hold_id.in_([hold.id for hold in expired]), WaitingEntry.state == WaitingState.OFFERED
        )
        db.session.execute(passed.values(state=WaitingState.EXPIRED, ended_at=now))
    return len(expired)


def release_due_pools_of(run: CourseRun, *, now: datetime) -> int:
    """Make the unused seats of the run's pools public whose day has come; returns how many pools."""
    return open_due_pools_of(run, now=now) if run.seats_kept else 0


def open_due_pools_of(run: CourseRun, *, now: datetime) -> int:
    """The same, also of pools that keep no seat at the moment: one that is given back later is everyone's at once."""
    due = update(SeatPool).where(SeatPool.run_id == run.id, SeatPool.released_at.is_(None), SeatPool.release_at <= now)
    released = db.session.execute(due.values(released_at=now).returning(SeatPool.id)).all()
    recount(run)
    return len(released)


def find_live_hold(run_id: int, person_id: int) -> SeatHold | None:
    """The hold of a person that still counts in the run, expired or not, if there is one."""
    query = select(SeatHold).filter_by(run_id=run_id, person_id=person_id, ended_at=None)
    return db.session.scalars(query).one_or_none()


def find_enrolment(run_id: int, person_id: int) -> Enrolment | None:
    """The person's active enrolment in the run, if there is one."""
    query = select(Enrolment).filter_by(run_id=run_id, person_id=person_id, ended_at=None)
    return db.session.scalars(query).one_or_none()


def expired_holds(run_ids: list[int], *, now: datetime) -> dict[int, int]:
    """How many holds of each run have expired but are not swept: pages count their seats as free."""
    query = (
        select(SeatHold.run_id, func.count())
        .where(SeatHold.run_id.in_(run_ids), SeatHold.ended_at.is_(None), SeatHold.until <= now)
        .group_by(SeatHold.run_id)
    )
    return {run_id: count for run_id, count in db.session.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def code_hash(code: str | None) -> str | None:
    """What is kept of a pool's code, and compared with; None for no code."""
    plain = ids.normalised(code or "")
    return keys.digest(plain) if plain else None
