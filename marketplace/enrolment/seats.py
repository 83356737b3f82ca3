"""Where seats are held, extended, given back and swept. Every verb here locks the run before it touches its seats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import counting, offers
from marketplace.enrolment.models import HoldEnd, SeatHold
from marketplace.enrolment.rules import EXTEND_BY, HOLD_FOR
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("seats")


def hold_seat(run_id: int, person_id: int, *, now: datetime) -> SeatHold:
    """Hold one seat for a person, or give back the live hold they have.

    Locks the run. Expired holds of the run free their seats first, so an expired hold is never counted against anyone;
    what is free goes to those who wait before it goes to the person. Raises RunFull, or Refused when they are enrolled.
    """
    with transaction():
        run = locked(CourseRun, run_id)
        offers.settle(run, now=now)
        return hold_seat_of(run, person_id, now=now)


def hold_seat_of(run: CourseRun, person_id: int, *, now: datetime, opened: int | None = None) -> SeatHold:
    """The same for a run that the caller has locked and settled already, in the caller's transaction.

    `opened` is a pool that the person may use besides those of their own.
    """
    held = counting.find_live_hold(run.id, person_id)
    if held is not None:
        return held
    if counting.find_enrolment(run.id, person_id) is not None:
        raise Refused("already_enrolled", lazy("You are already enrolled in this run."))
    pool_id = counting.take_seat(run, person_id, opened=opened)
    # A hold taken in time may be paid after the window closed: its end does not look at the window.
    return add(SeatHold(run_id=run.id, person_id=person_id, until=now + HOLD_FOR, created_at=now, pool_id=pool_id))


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
            counting.end_hold(hold, HoldEnd.RELEASED, now=now)
            counting.give_back_seat(hold.run, hold.pool_id)
            offers.pass_on(hold.run, now=now)


def sweep_expired_holds(*, now: datetime) -> int:
    """Free the seats of expired holds, run by run in short transactions; returns how many holds ended."""
    expired = select(SeatHold.run_id).where(SeatHold.ended_at.is_(None), SeatHold.until <= now)
    return offers.free_seats(expired, counting.release_expired_of, now=now)


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
