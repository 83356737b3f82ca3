"""Officers are told in time what ends if nobody acts, and what a funder has not paid; learners, what lapses soon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import case, exists, func, select

from marketplace.accounts import letters
from marketplace.accounts.models import Person, Role, StaffAppointment
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, locked, transaction
from marketplace.funding import programmes, subsidy_letters
from marketplace.funding.programme_models import FundingProgramme, ProgrammeEvent
from marketplace.funding.subsidy_models import ClaimBatch, Subsidy
from marketplace.funding.subsidy_rules import last_day_before
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sqlalchemy import Select

log = structlog.get_logger("deadlines")

BATCH = 200
TOLD_BEFORE = timedelta(days=7)
TOLD_AGAIN_BEFORE = timedelta(days=2)
# Of a batch that stays unpaid they hear again and again.
TOLD_EVERY = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class Ending:
    """What of a programme ends soon in one state, applied or earned: how many, and the nearest deadline.

    For the state claimed: how many batches are overdue, and the deadline of the one that is so longest.
    """

    programme: FundingProgramme
    state: str
    count: int
    deadline: datetime

    @property
    def last_day(self) -> date:
        """The last day on which something can be done about the first of them, in the programme's zone."""
        return last_day_before(self.deadline, self.programme.zone)


@jobs.periodic(cron="37 0 * * *", name="funding.tell_deadlines", queue="mail")
def tell_officers() -> None:
    """Every morning of Shanghai: write about what ends soon."""
    told = tell_all(now=clock.now())
    if told:
        log.info("officers told of deadlines", mails=told)


def tell_all(*, now: datetime) -> int:
    """Write to every funding officer about each programme and state; how many mails.

    Once in the week before the nearest deadline, and once more in the two days before it. About batches that a funder
    should have paid when one more becomes overdue, and every four weeks after.
    """
    told = 0
    with transaction():
        officers = _officers()
        for ending in list_ending(now=now):
            time_left = "days" if ending.deadline <= now + TOLD_AGAIN_BEFORE else "week"
            told += _tell(officers, ending, f"{int(ending.deadline.timestamp())}:{time_left}")
    for ending, newest in list_overdue(now=now):
        with transaction():
            told += _tell_overdue(officers, ending, newest, now=now)
    return told


def _tell_overdue(officers: Sequence[Person], ending: Ending, newest: datetime, *, now: datetime) -> int:
    """Write when it is time, which the programme's history keeps: paying one batch must not make another one new."""
    locked(FundingProgramme, ending.programme.id)
    before = select(func.max(ProgrammeEvent.occurred_at)).filter_by(
        programme_id=ending.programme.id, kind="overdue_told"
    )
    last = db.session.scalar(before)
    if last is None or newest > last or now - last >= TOLD_EVERY:
        last = now
        details = {"batches": ending.count}
        programmes.record(ending.programme, "overdue_told", actor_id=None, now=now, details=details)
    # By the same key again, for whoever has become an officer since.
    return _tell(officers, ending, str(int(last.timestamp())))


def _tell(officers: Sequence[Person], ending: Ending, when: str) -> int:
    key = f"deadline:{ending.programme.public_id}:{ending.state}:{when}"
    written = [letters.write(officer, "funding/deadlines", key=key, ending=ending) for officer in officers]
    return sum(letter is not None for letter in written)


def tell_of_lapsing(order_lines: Select[int], *, now: datetime) -> int:
    """Write to each learner, once a deadline, in the week before what is promised lapses unearned; how many mails.

    Of these lines alone: whose place stands is known above. Whoever did their part can still have it recorded;
    afterwards they may owe the money.
    """
    told = last = 0
    while found := _lapsing(order_lines, last, now=now):
        for subsidy_id in found:
            last = subsidy_id
            with transaction():
                subsidy = db.session.get_one(Subsidy, subsidy_id, populate_existing=True)
                if subsidy.state == State.RESERVED:
                    told += subsidy_letters.send_lapses_soon(subsidy)
    return told


def _lapsing(order_lines: Select[int], after: int, *, now: datetime) -> Sequence[int]:
    query = select(Subsidy.id).where(
        Subsidy.state == State.RESERVED,
        Subsidy.earn_by > now,
        Subsidy.earn_by <= now + TOLD_BEFORE,
        Subsidy.id > after,
        Subsidy.order_line_id.in_(order_lines),
    )
    return db.session.scalars(query.order_by(Subsidy.id).limit(BATCH)).all()


def list_ending(*, now: datetime) -> list[Ending]:
    """What ends within a week, by programme and state, in one query and one for the programmes."""
    deadline = case((Subsidy.state == State.APPLIED, Subsidy.earn_by), else_=Subsidy.claim_by)
    query = (
        select(Subsidy.programme_id, Subsidy.state, func.count(), func.min(deadline))
        .where(Subsidy.state.in_([State.APPLIED, State.EARNED]), deadline > now, deadline <= now + TOLD_BEFORE)
        .group_by(Subsidy.programme_id, Subsidy.state)
        .order_by(Subsidy.programme_id, Subsidy.state)
    )
    found = db.session.execute(query).all()
    by_id = _programmes({row[0] for row in found})
    return [Ending(by_id[programme_id], state, count, nearest) for programme_id, state, count, nearest in found]


def list_overdue(*, now: datetime) -> list[tuple[Ending, datetime]]:
    """Batches of which something should have been paid by now, by programme, each with the newest deadline among them.

    One query, and one for the programmes.
    """
    query = (
        select(ClaimBatch.programme_id, func.count(), func.min(ClaimBatch.pay_by), func.max(ClaimBatch.pay_by))
        .where(
            ClaimBatch.paid_at.is_(None),
            ClaimBatch.pay_by <= now,
            exists().where(Subsidy.batch_id == ClaimBatch.id, Subsidy.state == State.CLAIMED),
        )
        .group_by(ClaimBatch.programme_id)
        .order_by(ClaimBatch.programme_id)
    )
    found = db.session.execute(query).all()
    by_id = _programmes({row[0] for row in found})
    return [
        (Ending(by_id[programme_id], State.CLAIMED, count, oldest), newest)
        for programme_id, count, oldest, newest in found
    ]


def _programmes(ids: set[int]) -> dict[int, FundingProgramme]:
    query = select(FundingProgramme).where(FundingProgramme.id.in_(ids))
    return {programme.id: programme for programme in db.session.scalars(query)}


def _officers() -> list[Person]:
    query = select(Person).join(StaffAppointment, StaffAppointment.person_id == Person.id)
    return list(db.session.scalars(query.where(StaffAppointment.role == Role.FUNDING_OFFICER).order_by(Person.id)))
