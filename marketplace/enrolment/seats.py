"""Where seats are held, given back and counted. Every function here locks the run before it touches its seats.

The order of locks, everywhere: order → run → hold. Two verbs that lock the same rows lock them in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select

from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment, HoldEnd, SeatHold
from marketplace.enrolment.rules import EXTEND_BY, HOLD_FOR, RunFull
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("seats")

SWEEP_BATCH = 200


def hold_seat(run_id: int, person_id: int, *, now: datetime) -> SeatHold:
    """Hold one seat for a person, or give back the live hold they have.

    Locks the run. Expired holds of the run free their seats first, so an expired hold is never counted against anyone.
    Raises RunFull, or Refused when the person is enrolled already.
    """
    with transaction():
        return hold_seat_of(locked(CourseRun, run_id), person_id, now=now)


def hold_seat_of(run: CourseRun, person_id: int, *, now: datetime) -> SeatHold:
    """The same for a run that the caller has locked already, in the caller's transaction."""
    release_expired_of(run, now=now)
    held = find_live_hold(run.id, person_id)
    if held is not None:
        return held
    if find_enrolment(run.id, person_id) is not None:
        raise Refused("already_enrolled", lazy("You are already enrolled in this run."))
    take_seat(run)
    # A hold taken in time may be paid after the window closed: its end does not look at the window.
    return add(SeatHold(run_id=run.id, person_id=person_id, until=now + HOLD_FOR, created_at=now))


def take_seat(run: CourseRun) -> None:
    """Count one seat of a locked run as taken; raises RunFull. The database checks the same."""
    if run.seats_taken >= run.capacity:
        raise RunFull
    run.seats_taken += 1
    db.session.flush()


def give_back_seat(run: CourseRun) -> None:
    """Count one seat of a locked run as free again."""
    run.seats_taken -= 1
    db.session.flush()


def extend_hold(hold_id: int, *, now: datetime) -> SeatHold:
    """Give the person EXTEND_BY more, once; raises Refused if it was extended before or is over. Locks run and hold."""
    with transaction():
        hold = _locked_with_run(hold_id)
        if not hold.is_live(now):
            raise Refused("hold_ended", lazy("Your seat is no longer held. You can try to take one again."))
        if hold.extended_at is not None:
            raise Refused("hold_extended_before", lazy("The time to pay can be extended once only."))
        hold.extended_at = now
        hold.until += EXTEND_BY
        return hold


def release_hold(hold_id: int, *, now: datetime) -> None:
    """End a live hold and free its seat; an ended hold stays as it is. Locks run and hold."""
    with transaction():
        hold = _locked_with_run(hold_id)
        if hold.ended_at is None:
            end_hold(hold, HoldEnd.RELEASED, now=now)
            give_back_seat(hold.run)


def end_hold(hold: SeatHold, reason: HoldEnd, *, now: datetime) -> None:
    """Note that a locked hold has ended, and why; its seat is the caller's to give back or to keep as an enrolment."""
    hold.ended_at = now
    hold.end_reason = reason
    db.session.flush()


def release_expired_of(run: CourseRun, *, now: datetime) -> int:
    """End the expired holds of a locked run and free their seats; returns how many."""
    query = select(SeatHold).where(SeatHold.run_id == run.id, SeatHold.ended_at.is_(None), SeatHold.until <= now)
    expired = db.session.scalars(query.order_by(SeatHold.id).with_for_update(key_share=True)).all()
    for hold in expired:
        hold.ended_at = now
        hold.end_reason = HoldEnd.EXPIRED
    run.seats_taken -= len(expired)
    db.session.flush()
    return len(expired)


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


def sweep_expired_holds(*, now: datetime) -> int:
    """Free the seats of expired holds, run by run in short transactions; returns how many holds ended."""
    ended = 0
    query = select(SeatHold.run_id).where(SeatHold.ended_at.is_(None), SeatHold.until <= now).distinct()
    for run_id in db.session.scalars(query.limit(SWEEP_BATCH)).all():
        with transaction():
            ended += release_expired_of(locked(CourseRun, run_id), now=now)
    return ended


@jobs.periodic(cron="* * * * *", name="enrolment.sweep_expired_holds")
def sweep() -> None:
    """Every minute: free the seats nobody paid for. Nobody waits for it, since hold_seat frees them by itself."""
    ended = sweep_expired_holds(now=clock.now())
    if ended:
        log.info("expired holds swept", holds=ended)


def _locked_with_run(hold_id: int) -> SeatHold:
    run_id = db.session.scalar(select(SeatHold.run_id).where(SeatHold.id == hold_id))
    if run_id is None:
        raise NotFound
    locked(CourseRun, run_id)
    return locked(SeatHold, hold_id)
