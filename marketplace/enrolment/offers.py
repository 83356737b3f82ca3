"""A free seat goes to those who wait before it is sold: as a personal offer, which is a hold of their own.

`pass_on` is called last by every verb that frees a seat, in its transaction, with the run locked. So a seat is free for
everyone only when nobody waits for it, and none is sold past the list.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from marketplace.accounts import letters
from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseRun, CourseState, RunState
from marketplace.enrolment import counting
from marketplace.enrolment.letters import in_zone_of
from marketplace.enrolment.models import HoldEnd, SeatHold
from marketplace.enrolment.rules import offer_until
from marketplace.enrolment.seat_models import WaitingEntry, WaitingRule, WaitingState
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Select

log = structlog.get_logger("offers")

OFFER_HOURS = 24
BATCH = 200


def settle(run: CourseRun, *, now: datetime) -> None:
    """Bring a locked run to this moment: what is over ends, pools whose day has come open, free seats are offered."""
    counting.release_expired_of(run, now=now)
    counting.release_due_pools_of(run, now=now)
    pass_on(run, now=now)


def pass_on(run: CourseRun, *, now: datetime) -> int:
    """Offer the free seats of a locked run to those who wait, in their order; returns how many offers were made.

    A free seat of a pool is offered to the first who is of its audience. Nothing is offered outside the window, or of a
    course that was withdrawn: nobody could take it.
    """
    is_open = run.enrol_opens_at is not None and run.enrol_closes_at is not None
    if run.state != RunState.SCHEDULED or not is_open or not run.enrol_opens_at <= now < run.enrol_closes_at:  # type: ignore[operator]
        return 0
    made = 0
    while run.seats_left() or run.seats_kept:
        chosen = _next(run)
        if chosen is None or run.course.state != CourseState.PUBLISHED:
            break
        _offer(chosen, run, now=now)
        made += 1
    return made


def accept(entry_id: int, *, now: datetime) -> None:
    """Note that the person has taken a seat: the one offered, or one of a pool while they waited. Locks the entry."""
    _end(locked(WaitingEntry, entry_id), WaitingState.ACCEPTED, now=now)


def end_wait(run: CourseRun, person_id: int, *, now: datetime) -> None:
    """Note that the person got a place in a locked run in another way; a seat offered beside it goes to the next.

    Call when the place is counted. Without it they would be offered a second seat.
    """
    query = select(WaitingEntry.id).where(
        WaitingEntry.run_id == run.id,
        WaitingEntry.person_id == person_id,
        WaitingEntry.state.in_([WaitingState.WAITING, WaitingState.OFFERED]),
    )
    entry_id = db.session.scalar(query)
    if entry_id is not None:
        take_back(locked(WaitingEntry, entry_id), WaitingState.ACCEPTED, now=now)
        pass_on(run, now=now)


def take_back(entry: WaitingEntry, state: WaitingState, *, now: datetime) -> None:
    """End a locked entry; a seat that was offered is free again, and the caller passes it on. The run is locked."""
    if entry.state == WaitingState.OFFERED and entry.hold_id is not None:
        hold = locked(SeatHold, entry.hold_id)
        if hold.ended_at is None:
            counting.end_hold(hold, HoldEnd.RELEASED, now=now)
            counting.give_back_seat(hold.run, hold.pool_id)
    _end(entry, state, now=now)


def free_seats(run_ids: Select[int], free: Callable[..., int], *, now: datetime) -> int:
    """Free seats of these runs, each locked in a short transaction of its own, and pass them on; what `free` counted.

    `free` is called with the locked run and `now`. At most BATCH runs at once.
    """
    freed = 0
    for run_id in db.session.scalars(run_ids.distinct().limit(BATCH)).all():
        with transaction():
            run = locked(CourseRun, run_id)
            freed += free(run, now=now)
            pass_on(run, now=now)
    return freed


def offer_all(*, now: datetime) -> int:
    """Settle every run that people wait for, and end the lists of those that closed; returns how many offers were made.

    It picks up what frees seats without a verb of this room: a capacity raised, a pool's day, a run cancelled.
    """
    made = 0
    waiting = select(WaitingEntry.run_id).where(WaitingEntry.state.in_([WaitingState.WAITING, WaitingState.OFFERED]))
    for run_id in db.session.scalars(waiting.distinct()).all():
        with transaction():
            run = locked(CourseRun, run_id)
            counting.release_expired_of(run, now=now)
            counting.release_due_pools_of(run, now=now)
            made += pass_on(run, now=now)
            _end_list_if_over(run, now=now)
    return made


@jobs.periodic(cron="* * * * *", name="enrolment.offer_seats")
def offer() -> None:
    """Every minute: offer what became free, and end the lists of runs that closed."""
    made = offer_all(now=clock.now())
    if made:
        log.info("seats offered", offers=made)


@jobs.task(name="enrolment.tell_waiting", queue="mail")
def tell(entry_id: int, state: str) -> None:
    """Write the mail of an offer, or of a list that ended without one."""
    with transaction():
        entry = db.session.get_one(WaitingEntry, entry_id)
        if entry.state != state:
            return
        person = db.session.get_one(Person, entry.person_id)
        letters.write(
            person,
            "enrolment/seat_offered" if state == WaitingState.OFFERED else "enrolment/waiting_ended",
            key=f"waiting:{entry.public_id}:{state}",
            entry=entry,
            run=entry.run,
            until=in_zone_of(person, entry.hold.until if entry.hold else None),
        )


def _next(run: CourseRun) -> WaitingEntry | None:
    """The first who waits and can be given one of the seats that are free."""
    if run.seats_left():
        queue = select(WaitingEntry).filter_by(run_id=run.id, state=WaitingState.WAITING)
        queue = queue.order_by(WaitingEntry.rank, WaitingEntry.joined_at, WaitingEntry.id)
        return db.session.scalars(queue.limit(1)).first()
    entry_id = counting.find_first_waiting(run)
    return None if entry_id is None else db.session.get_one(WaitingEntry, entry_id)


def _offer(entry: WaitingEntry, run: CourseRun, *, now: datetime) -> None:
    pool_id = counting.take_seat(run, entry.person_id, entry.code_hash)
    rule = db.session.get(WaitingRule, run.id)
    stands_for = timedelta(hours=rule.offer_hours if rule else OFFER_HOURS)
    until = offer_until(now=now, stands_for=stands_for, closes_at=run.enrol_closes_at)
    hold = add(SeatHold(run_id=run.id, person_id=entry.person_id, until=until, created_at=now, pool_id=pool_id))
    entry.state = WaitingState.OFFERED
    entry.offered_at = now
    entry.hold = hold
    db.session.flush()
    jobs.enqueue(tell, entry_id=entry.id, state=WaitingState.OFFERED.value)


def _end_list_if_over(run: CourseRun, *, now: datetime) -> None:
    """Once nothing can be offered any more, tell those who still wait; offers end with a cancelled run."""
    is_closed = run.enrol_closes_at is not None and run.enrol_closes_at <= now
    if run.state != RunState.CANCELLED and not is_closed:
        return
    over = [WaitingState.WAITING, WaitingState.OFFERED] if run.state == RunState.CANCELLED else [WaitingState.WAITING]
    query = select(WaitingEntry).where(WaitingEntry.run_id == run.id, WaitingEntry.state.in_(over))
    for entry in db.session.scalars(query.order_by(WaitingEntry.id).limit(BATCH)).all():
        take_back(entry, WaitingState.LAPSED, now=now)
        jobs.enqueue(tell, entry_id=entry.id, state=WaitingState.LAPSED.value)


def _end(entry: WaitingEntry, state: WaitingState, *, now: datetime) -> None:
    entry.state = state
    entry.ended_at = now
    db.session.flush()
