"""Where attendance and completion earn subsidies: the funding room below is told once a run is over or time is up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import CourseRun, RunState
from marketplace.enrolment.models import Enrolment, EnrolmentSource
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.funding import deadlines, subsidies, subsidy_rules
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Earning, Evidence
from marketplace.funding.subsidy_states import State
from marketplace.participation import completions, rosters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

log = structlog.get_logger("subsidy_evidence")

BATCH = 200
# A place in a run that is off ends by itself, and its subsidy with it, however long a bank may take.
_STANDS = (
    CourseRun.state == RunState.SCHEDULED,
    EnrolmentSource.revoked_at.is_(None),
    Enrolment.suspended_at.is_(None),
)


def take_up(*, now: datetime) -> dict[str, int]:
    """Weigh every reserved subsidy whose run is over or whose time is up; returns how many were earned and lapsed.

    An application that nobody has reviewed when its time is up ends as well. Each is a transaction of its own. Where a
    run was moved, the deadline moves with it before anybody is told of it, and before anything lapses. While a place is
    suspended its subsidy waits, and what it completed meanwhile is recorded before it is weighed.
    """
    completions.record_resumed(now=now)
    counts = dict.fromkeys(Earning, 0)
    for subsidy_id, enrolment_id in _waiting(now):
        counts[_weigh(subsidy_id, enrolment_id, now=now)] += 1
    return {"earned": counts[Earning.EARNED], "lapsed": counts[Earning.LAPSED]}


def _waiting(now: datetime) -> Iterator[tuple[int, int]]:
    """What is to be weighed with the enrolment its line granted, oldest first, read in batches."""
    # A week ahead: only its deadline can change until then, and people are told of that.
    is_late = Subsidy.earn_by <= now + deadlines.TOLD_BEFORE
    is_due = or_(
        and_(Subsidy.state == State.RESERVED, or_(CourseRun.ends_at <= now, is_late)),
        and_(Subsidy.state == State.APPLIED, is_late),
    )
    last = 0
    while True:
        query = (
            select(Subsidy.id, Enrolment.id)
            .join(EnrolmentSource, EnrolmentSource.order_line_id == Subsidy.order_line_id)
            .join(Enrolment, Enrolment.id == EnrolmentSource.enrolment_id)
            .join(CourseRun, CourseRun.id == Enrolment.run_id)
            .where(
                is_due,
                *_STANDS,
                Subsidy.id > last,
            )
        )
        rows = db.session.execute(query.order_by(Subsidy.id).limit(BATCH)).all()
        for subsidy_id, enrolment_id in rows:
            last = subsidy_id
            yield subsidy_id, enrolment_id
        if len(rows) < BATCH:
            return


def _weigh(subsidy_id: int, enrolment_id: int, *, now: datetime) -> Earning:
    subsidy = db.session.get_one(Subsidy, subsidy_id)
    line = rosters.get_line(_enrolment(enrolment_id), now=now)
    earn_by = _moved_deadline(subsidy, line.enrolment.run, now=now)
    completed_at = line.completion.completed_at if line.completion else None
    is_over = rosters.is_over(line.enrolment.run, now)
    found = Evidence(is_over, line.progress.percent, completed_at)
    rule = subsidy.rule_version.rule
    verdict = subsidy_rules.weigh(rule, found, earn_by=earn_by, now=now)
    # A provider may have taken back what completed the run; one that asks for nothing is completed by nobody.
    could_earn = line.enrolment.run.is_completable or not rule.needs_completion
    if subsidy.state == State.APPLIED:
        if now < earn_by:
            # Nobody earns without a review; it may still come, and a moved run takes the deadline along.
            return Earning.OPEN
        is_earned = verdict is Earning.EARNED
        known = rosters.evidence_of(line)
        subsidies.lapse_unreviewed(subsidy.id, known, is_earned=is_earned, could_earn=could_earn or is_earned, now=now)
        return Earning.LAPSED
    if verdict is Earning.EARNED:
        subsidies.earn(subsidy_id, rosters.evidence_of(line), now=now)
    elif verdict is Earning.LAPSED:
        subsidies.lapse(subsidy_id, rosters.evidence_of(line), could_earn=could_earn, now=now)
    return verdict


def _enrolment(enrolment_id: int) -> Enrolment:
    query = select(Enrolment).filter_by(id=enrolment_id)
    return db.session.scalars(query.options(joinedload(Enrolment.run).selectinload(CourseRun.sessions))).one()


def _moved_deadline(subsidy: Subsidy, run: CourseRun, *, now: datetime) -> datetime:
    """The deadline, moved to a later day if the run ends later than it did when the subsidy was promised."""
    if run.ends_at is None:
        return subsidy.earn_by
    last: date = run.ends_at.astimezone(run.tzinfo).date()
    last += timedelta(days=subsidy.rule_version.rule.earn_within_days)
    later = subsidy_rules.end_of_day(last, subsidy.programme.zone)
    if later > max(subsidy.earn_by, now):
        subsidies.extend(subsidy.id, last, reason="run moved", actor_id=None, now=now)
    return max(subsidy.earn_by, later)


@jobs.periodic(cron="*/10 * * * *", name="participation.subsidy_evidence")
def weigh_evidence() -> None:
    """Every ten minutes: tell which subsidies are earned and which have lapsed."""
    counts = take_up(now=clock.now())
    if any(counts.values()):
        log.info("subsidies weighed", **counts)


@jobs.periodic(cron="52 0 * * *", name="participation.tell_of_lapsing", queue="mail")
def tell_learners() -> None:
    """Every morning of Shanghai: write to those whose subsidy lapses within a week."""
    if told := tell_of_lapsing(now=clock.now()):
        log.info("learners told of deadlines", mails=told)


def tell_of_lapsing(*, now: datetime) -> int:
    """Write to those whose subsidy lapses within a week though their place stands; how many mails."""
    lines = (
        select(EnrolmentSource.order_line_id)
        .join(EnrolmentSource.enrolment)
        .join(CourseRun, CourseRun.id == Enrolment.run_id)
        .where(*_STANDS)
    )
    return deadlines.tell_of_lapsing(lines, now=now)
