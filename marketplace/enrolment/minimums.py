"""Where a run with a minimum of people is decided about by its date: confirmed, merged into another, or cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import contains_eager

from marketplace.accounts import letters
from marketplace.accounts.models import Membership, Person
from marketplace.catalog.models import Course, CourseProvider, CourseRun, RunState
from marketplace.enrolment import run_changes
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.run_change_models import MINIMUM, RunMinimum
from marketplace.enrolment.run_change_rules import REMIND_BEFORE, RunChangeKind, check_may_change
from marketplace.enrolment.run_changes import Wanted
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

log = structlog.get_logger("minimums")
MOST_SHOWN = 200

DECISIONS = {"confirmed": None, "merged": RunChangeKind.MERGED, "cancelled": RunChangeKind.CANCELLED}


def set_minimum(run_id: int, minimum: int, *, decide_by: datetime, now: datetime) -> RunMinimum:
    """Say from how many people on a run takes place, and by when that is decided. Locks the run; raises Refused."""
    with transaction():
        run = locked(CourseRun, run_id)
        check_may_change(state=run.state, starts_at=run.starts_at, now=now)
        if not 1 <= minimum <= run.capacity:
            message = lazy("A minimum is at least one person and at most the seats of the run.")
            raise Invalid("minimum", message, {"minimum": message})
        if run.starts_at is None or not now < decide_by <= run.starts_at:
            message = lazy("The decision must be made between now and the start.")
            raise Invalid("decide_by", message, {"decide_by": message})
        row = db.session.get(RunMinimum, run_id) or RunMinimum(run_id=run_id)
        if row.decided_at is not None:
            raise Refused("decided", lazy("This run has been decided about already."))
        row.minimum, row.decide_by, row.reminded_at = minimum, decide_by, None
        return add(row)


def decide(
    run_id: int, decision: str, *, target_run_id: int | None = None, actor_id: int | None, now: datetime
) -> RunMinimum:
    """Confirm, merge or cancel a run; the last two tell everyone and give money and subsidies back. Locks the run.

    Raises Refused for a run that is off, has begun or is decided about.
    """
    if decision not in DECISIONS:
        raise Invalid("decision", lazy("Choose one of the ways shown."))
    with transaction():
        run = locked(CourseRun, run_id)
        row = get(run_id)
        if row.decided_at is not None:
            raise Refused("decided", lazy("This run has been decided about already."))
        check_may_change(state=run.state, starts_at=run.starts_at, now=now)
        row.decided_at, row.decision, row.decided_by_id = now, decision, actor_id
        kind = DECISIONS[decision]
        if kind is not None:
            wanted = Wanted(kind, reason=MINIMUM, target_run_id=target_run_id)
            run_changes.announce(run_id, wanted, actor_id=actor_id, now=now)
        return row


def get(run_id: int) -> RunMinimum:
    """The minimum of a run; raises NotFound for a run without one."""
    found = db.session.get(RunMinimum, run_id, populate_existing=True)
    if found is None:
        raise NotFound
    return found


def list_open(organisation_ids: Iterable[int] | None = None, *, now: datetime) -> Sequence[tuple[RunMinimum, int]]:
    """Runs that wait for a decision, soonest first, with how many people are in them; of these providers, or of all."""
    people = (
        select(func.count())
        .select_from(Enrolment)
        .where(Enrolment.run_id == RunMinimum.run_id, Enrolment.ended_at.is_(None))
    )
    query = (
        select(RunMinimum, people.scalar_subquery())
        .join(RunMinimum.run)
        .where(RunMinimum.decided_at.is_(None), *_stands(now))
        .options(contains_eager(RunMinimum.run).joinedload(CourseRun.course).joinedload(Course.category))
        .order_by(RunMinimum.decide_by)
    )
    if organisation_ids is not None:
        mine = select(CourseProvider.course_id).where(CourseProvider.organisation_id.in_(list(organisation_ids)))
        query = query.where(RunMinimum.run_id.in_(select(CourseRun.id).where(CourseRun.course_id.in_(mine))))
    return [(row, count) for row, count in db.session.execute(query.limit(MOST_SHOWN))]


def _stands(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Only of a run that is neither off nor begun there is something to decide."""
    return CourseRun.state == RunState.SCHEDULED, CourseRun.starts_at > now


@jobs.periodic(cron="5 * * * *", name="enrolment.remind_of_minimums")
def remind() -> None:
    """Every hour: remind the providers of runs whose decision is near."""
    told = remind_all(now=clock.now())
    if told:
        log.info("reminded of decisions", runs=told)


def remind_all(*, now: datetime) -> int:
    """Write to owners and registrars of the providers, once before the day and once after it; how many runs."""
    is_near = RunMinimum.reminded_at.is_(None) & (RunMinimum.decide_by <= now + REMIND_BEFORE)
    is_overdue = (RunMinimum.reminded_at < RunMinimum.decide_by) & (RunMinimum.decide_by <= now)
    query = select(RunMinimum.run_id).join(RunMinimum.run).where(RunMinimum.decided_at.is_(None), is_near | is_overdue)
    query = query.where(*_stands(now))
    due = db.session.scalars(query.limit(100)).all()
    for run_id in due:
        with transaction():
            row = locked(RunMinimum, run_id)
            row.reminded_at = now
            _remind(row, is_overdue=row.decide_by <= now)
    return len(due)


def _remind(row: RunMinimum, *, is_overdue: bool) -> None:
    people = db.session.scalar(
        select(func.count()).select_from(Enrolment).where(Enrolment.run_id == row.run_id, Enrolment.ended_at.is_(None))
    )
    readers = (
        select(Person)
        .join(Membership, Membership.person_id == Person.id)
        .join(CourseProvider, CourseProvider.organisation_id == Membership.organisation_id)
        .where(CourseProvider.course_id == row.run.course_id, Membership.role.in_(["owner", "registrar"]))
        .distinct()
    )
    for reader in db.session.scalars(readers).all():
        key = f"minimum:{row.run.public_id}:{int(row.decide_by.timestamp())}{':overdue' * is_overdue}"
        told: dict[str, Any] = {"row": row, "run": row.run, "people": people, "is_overdue": is_overdue}
        letters.write(reader, "enrolment/decide_minimum", key=key, **told)
