"""Where corrected marks and results reach the subsidies that were earned by them: the funding room below is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment, EnrolmentSource
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.funding import doubts, subsidy_rules
from marketplace.funding.subsidy_rules import Earning, Evidence
from marketplace.participation import rosters

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("subsidy_evidence")


def look_again_soon(run: CourseRun, *, now: datetime) -> None:
    """Enqueue the job that weighs earned subsidies anew; call inside the transaction that corrects.

    Nothing is earned before a run is over, so a register that is taken in time asks for nothing.
    """
    if rosters.is_over(run, now):
        jobs.enqueue(look_again, key=f"participation.look_again:{run.id}", run_id=run.id)


@jobs.task(name="participation.look_again")
def look_again(run_id: int) -> None:
    """Hold the subsidies that were earned in a run against what is known of it now."""
    if changed := weigh_run(run_id, now=clock.now()):
        log.info("subsidies doubted or restored", run=run_id, subsidies=changed)


def weigh_run(run_id: int, *, now: datetime) -> int:
    """Put in doubt what was earned in a run by what does not hold any more, and restore what does; how many changed.

    Each is a transaction of its own. A completion that a correction took the ground from counts as none.
    """
    query = (
        select(EnrolmentSource.order_line_id, EnrolmentSource.enrolment_id)
        .join(Enrolment, Enrolment.id == EnrolmentSource.enrolment_id)
        .where(Enrolment.run_id == run_id, EnrolmentSource.revoked_at.is_(None))
    )
    places = {line_id: enrolment_id for line_id, enrolment_id in db.session.execute(query)}  # noqa: C416
    resting = doubts.list_resting(places)
    if not resting:
        return 0
    run = db.session.get_one(CourseRun, run_id)
    lines = {line.enrolment.id: line for line in rosters.list_lines(run, now=now)}
    changed = 0
    for subsidy in resting:
        line = lines.get(places[subsidy.order_line_id])
        if line is None:
            # The place is over, and its subsidy about to be let go.
            continue
        completed_at = line.completion.completed_at if line.completion and not line.is_in_doubt else None
        found = Evidence(is_over=True, attendance_percent=line.progress.percent, completed_at=completed_at)
        verdict = subsidy_rules.weigh(subsidy.rule_version.rule, found, earn_by=subsidy.earn_by, now=now)
        is_met = verdict is Earning.EARNED
        changed += doubts.weigh_again(subsidy.id, rosters.evidence_of(line), is_met=is_met, now=now)
    return changed
