"""Where completions are recorded: facts with their moment, evidence and version of the rule, written once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import CourseRun, RunState
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import lazy
from marketplace.participation import doubts, letters, rosters, rules
from marketplace.participation.models import Assessment, Completion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

log = structlog.get_logger("completions")

# How long after its end a run is looked at by the job; later marks record their completions at once anyway.
LOOKED_AT_FOR = timedelta(days=2)


def record_due(run_id: int, *, now: datetime) -> int:
    """Record the completion of everyone in the run who satisfies its rule and has none yet; returns how many.

    Locks the run, so that two registers saved at once record each completion once. What a later correction takes away
    does not unmake the fact: the roster says that it is in doubt. A suspended place completes nothing until resumed.
    """
    with transaction():
        run = locked(CourseRun, run_id)
        end = rosters.last_moment(run)
        if end is None or end > now:
            return 0
        due = [line for line in rosters.list_lines(run, now=now) if line.is_due]
        for line in due:
            _record(run, line, end, now=now)
        return len(due)


def _record(run: CourseRun, line: rosters.RosterLine, end: datetime, *, now: datetime) -> None:
    passed_at = line.assessment.recorded_at if line.assessment else None
    completion = add(
        Completion(
            enrolment_id=line.enrolment.id,
            completed_at=rules.completed_at(end, passed_at, needs_pass=run.completion_needs_pass),
            recorded_at=now,
            rule_version=run.completion_rule_version,
            evidence={
                "present": line.progress.present,
                "excused": line.progress.excused,
                "sessions": line.progress.sessions,
                "attendance_percent": run.completion_attendance_percent,
                "needs_pass": run.completion_needs_pass,
                "assessment": line.assessment.id if line.assessment else None,
            },
        )
    )
    jobs.enqueue(letters.tell, completion_id=completion.id)


def assess(run_id: int, results: Mapping[str, bool], *, actor_id: int | None, now: datetime) -> int:
    """Write the results that differ from the present ones, by public id of the enrolment, and what they complete.

    Returns how many were written. Locks the run; raises NotFound for someone who is not on its roster, Invalid for a
    run without an assessment.
    """
    with transaction():
        run = locked(CourseRun, run_id)
        if not run.completion_needs_pass:
            raise Invalid("no_assessment", lazy("This run has no assessment."))
        enrolments = {enrolment.public_id: enrolment.id for enrolment in rosters.list_people(run.id)}
        if unknown := results.keys() - enrolments.keys():
            raise NotFound("not_on_roster", lazy("%(count)s people are not on this roster.", count=len(unknown)))
        present = rosters.latest_assessments(enrolments.values())
        written = 0
        for public_id, passed in results.items():
            enrolment_id = enrolments[public_id]
            if enrolment_id not in present or present[enrolment_id].passed != passed:
                add(Assessment(enrolment_id=enrolment_id, passed=passed, recorded_by_id=actor_id, recorded_at=now))
                written += 1
        record_due(run.id, now=now)
        if written:
            doubts.look_again_soon(run, now=now)
        return written


@jobs.periodic(cron="*/10 * * * *", name="participation.record_completions")
def record_completions() -> None:
    """Every ten minutes: the completions of runs whose last session ended after all was marked."""
    recorded = record_ended(now=clock.now())
    if recorded:
        log.info("completions recorded", completions=recorded)


def record_ended(*, now: datetime) -> int:
    """Record what is due in runs that ended within LOOKED_AT_FOR, each in a transaction of its own."""
    ended = select(CourseRun.id).where(
        CourseRun.state == RunState.SCHEDULED, CourseRun.ends_at <= now, CourseRun.ends_at > now - LOOKED_AT_FOR
    )
    runs = db.session.scalars(ended.order_by(CourseRun.id)).all()
    return sum(record_due(run_id, now=now) for run_id in runs) + record_resumed(now=now)


def record_resumed(*, now: datetime) -> int:
    """Record what waited while a place was suspended that was resumed within LOOKED_AT_FOR."""
    resumed = select(Enrolment.run_id).where(Enrolment.resumed_at > now - LOOKED_AT_FOR).distinct()
    runs = db.session.scalars(resumed.order_by(Enrolment.run_id)).all()
    return sum(record_due(run_id, now=now) for run_id in runs)


def get_enrolment(public_id: str) -> Enrolment:
    """An enrolment with its run, sessions and course; raises NotFound."""
    query = (
        select(Enrolment)
        .filter_by(public_id=public_id)
        .options(
            joinedload(Enrolment.run).joinedload(CourseRun.course),
            joinedload(Enrolment.run).selectinload(CourseRun.sessions),
        )
    )
    enrolment = db.session.scalars(query).one_or_none()
    if enrolment is None:
        raise NotFound
    return enrolment
