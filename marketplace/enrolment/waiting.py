"""The waiting list of a sold-out run: joined, left, declined and ordered. Offers are made by offers.pass_on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import exists, func, select
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import Membership, Person
from marketplace.catalog import trail
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import counting, eligibility, offers
from marketplace.enrolment.seat_models import First, SeatPool, WaitingEntry, WaitingRule, WaitingState
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement

# Places in lists that one person may have at once: a list is for people who mean it.
MOST_AT_ONCE = 5
LIVE = (WaitingState.WAITING, WaitingState.OFFERED)


@dataclass(frozen=True)
class Place:
    """A live entry and where it stands: 1 is next; None once a seat is offered."""

    entry: WaitingEntry
    position: int | None


def join(run_id: int, person_id: int, *, seat_code: str | None, now: datetime) -> WaitingEntry:
    """Wait for a seat of a sold-out run; twice is once. Locks person and run.

    Raises Refused: what forbids enrolling, a seat that is free after all, a place or hold of theirs, MOST_AT_ONCE.
    """
    with transaction():
        # Two joins of one person at once could pass the limit together.
        locked(Person, person_id)
        run = locked(CourseRun, run_id)
        found = find_place(run_id, person_id)
        if found is not None:
            return found.entry
        eligibility.check_may_enrol(run, person_id, now=now)
        offers.settle(run, now=now)
        code = counting.code_hash(seat_code)
        _check_may_wait(run, person_id, code)
        rank = _rank(run, person_id, code)
        return add(WaitingEntry(run_id=run_id, person_id=person_id, rank=rank, code_hash=code, joined_at=now))


def leave(public_id: str, person_id: int, *, now: datetime) -> WaitingEntry:
    """Give up one's own place, or decline what is offered: the seat goes to the next. Locks run, hold and entry.

    An entry that is over stays as it is. Raises NotFound for another's.
    """
    with transaction():
        mine = get_entry(public_id, person_id)
        run = locked(CourseRun, mine.run_id)
        entry = locked(WaitingEntry, mine.id)
        if entry.state in LIVE:
            end = WaitingState.DECLINED if entry.state == WaitingState.OFFERED else WaitingState.LEFT
            offers.take_back(entry, end, now=now)
            offers.pass_on(run, now=now)
        return entry


def set_rule(run_id: int, *, first: First, offer_hours: int, actor_id: int | None, now: datetime) -> WaitingRule:
    """Say who comes first in a run's list and how long an offer stands; who waits is ranked anew. Locks the run.

    What changed is kept in the course's history, with who changed it.
    """
    with transaction():
        run = locked(CourseRun, run_id)
        rule = get_rule(run_id)
        pairs: dict[str, list[object]] = {
            "waiting_first": [rule.first, first.value],
            "offer_hours": [rule.offer_hours, offer_hours],
        }
        if changed := {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}:
            trail.record(
                "waiting_rule", course_id=run.course_id, run_id=run_id, actor_id=actor_id, now=now, changed=changed
            )
        rule.first, rule.offer_hours = first, offer_hours
        add(rule)
        for entry in db.session.scalars(select(WaitingEntry).filter_by(run_id=run_id, state=WaitingState.WAITING)):
            entry.rank = _rank(run, entry.person_id, entry.code_hash)
        return rule


def get_rule(run_id: int) -> WaitingRule:
    """The rule of a run's list, or the default one, which is in no table."""
    return db.session.get(WaitingRule, run_id) or WaitingRule(
        run_id=run_id, first=First.TIME, offer_hours=offers.OFFER_HOURS
    )


def find_place(run_id: int, person_id: int) -> Place | None:
    """The person's live place in the list of a run, if they have one."""
    query = select(WaitingEntry).where(
        WaitingEntry.run_id == run_id, WaitingEntry.person_id == person_id, WaitingEntry.state.in_(LIVE)
    )
    entry = db.session.scalars(query.options(joinedload(WaitingEntry.hold))).one_or_none()
    return None if entry is None else Place(entry, _position(entry))


def list_places(person_id: int) -> list[Place]:
    """The lists a person stands in, with run and course."""
    query = (
        select(WaitingEntry)
        .where(WaitingEntry.person_id == person_id, WaitingEntry.state.in_(LIVE))
        .options(joinedload(WaitingEntry.run).joinedload(CourseRun.course), joinedload(WaitingEntry.hold))
        .order_by(WaitingEntry.joined_at)
    )
    return [Place(entry, _position(entry)) for entry in db.session.scalars(query)]


def get_entry(public_id: str, person_id: int) -> WaitingEntry:
    """One's own entry; raises NotFound for another's."""
    query = select(WaitingEntry).filter_by(public_id=public_id, person_id=person_id)
    entry = db.session.scalars(query.options(joinedload(WaitingEntry.run))).one_or_none()
    if entry is None:
        raise NotFound
    return entry


def count_waiting(run_id: int) -> int:
    """How many people wait for a seat of the run without an offer."""
    query = select(func.count()).select_from(WaitingEntry).filter_by(run_id=run_id, state=WaitingState.WAITING)
    return int(db.session.scalar(query) or 0)


def _check_may_wait(run: CourseRun, person_id: int, code: str | None) -> None:
    if counting.find_enrolment(run.id, person_id) is not None:
        raise Refused("already_enrolled", lazy("You are already enrolled in this run."))
    if counting.find_live_hold(run.id, person_id) is not None:
        raise Refused("seat_held", lazy("A seat is already being held for you in this run."))
    if counting.has_seat_for(run, person_id, code):
        raise Refused("seat_free", lazy("A seat is free: you can take it now."))
    live = select(func.count()).where(WaitingEntry.person_id == person_id, WaitingEntry.state.in_(LIVE))
    if (db.session.scalar(live) or 0) >= MOST_AT_ONCE:
        sentence = lazy("You wait for %(most)s runs already. Leave one list to join another.", most=MOST_AT_ONCE)
        raise Refused("too_many_lists", sentence)


def _position(entry: WaitingEntry) -> int | None:
    if entry.state != WaitingState.WAITING:
        return None
    before = (
        select(func.count())
        .select_from(WaitingEntry)
        .where(
            WaitingEntry.run_id == entry.run_id,
            WaitingEntry.state == WaitingState.WAITING,
            func.row(WaitingEntry.rank, WaitingEntry.joined_at, WaitingEntry.id)
            < func.row(entry.rank, entry.joined_at, entry.id),
        )
    )
    return int(db.session.scalar(before) or 0) + 1


def _rank(run: CourseRun, person_id: int, code: str | None) -> int:
    """0 for whom the run's rule puts first, 1 for everyone else."""
    if get_rule(run.id).first == First.TIME:
        return 1
    return 0 if db.session.scalar(select(_is_of_pool(run, person_id, code))) else 1


def _is_of_pool(run: CourseRun, person_id: int, code: str | None) -> ColumnElement[bool]:
    """Whether any pool of the run, released or used up as it may be, is for the person."""
    organisations = select(Membership.organisation_id).where(Membership.person_id == person_id)
    domain = select(func.split_part(Person.email, "@", 2)).where(Person.id == person_id).scalar_subquery()
    return exists().where(
        SeatPool.run_id == run.id,
        SeatPool.organisation_id.in_(organisations)
        | (SeatPool.email_domain == domain)
        # Not `== code`: without a code that would ask for pools without one.
        | SeatPool.code_hash.in_([code] if code else []),
    )
