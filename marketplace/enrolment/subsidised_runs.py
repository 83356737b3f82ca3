"""Which runs an open funding programme may pay a part of, marked on the run: the catalogue cannot ask programmes.

A job of each minute marks them by the rules themselves, for a visitor of whom nothing is known: what a programme asks
about a person is a condition, what it asks about the course must be met. A pass looks at the courses that were indexed
since the last one, and at all of them when a programme opened, ended, changed its rule or ran short of money.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from marketplace.catalog import facets
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import Course, CourseRun, RunState
from marketplace.enrolment import course_facts
from marketplace.enrolment.seat_models import SubsidisedPass
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, forget, transaction
from marketplace.funding import estimates, programmes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.funding.facts import Offer
    from marketplace.funding.programme_models import FundingRule

AT_ONCE = 500
# A course is indexed at a moment inside its transaction and seen after it: passes overlap by more than one lasts.
OVERLAP = timedelta(minutes=5)


def mark_all(*, now: datetime) -> int:
    """Mark the runs of courses that changed, or of all once programmes did; how many marks changed.

    Each few hundred courses in a transaction of their own, which locks the runs that change, by id.
    """
    versions = programmes.list_open(now=now)
    state, began = _state(versions), db.session.scalars(select(func.clock_timestamp())).one()
    last = db.session.get(SubsidisedPass, 1, populate_existing=True)
    since = last.began_at - OVERLAP if last is not None and last.programmes == state else None
    changed = after = 0
    while courses := _next_courses(since, after):
        with transaction():
            marked = _mark(courses, versions, now=now)
        if marked:
            changed += marked
            facets.refresh(now=now)
        after = courses[-1]
    with transaction():
        done = {"id": 1, "programmes": state, "began_at": began}
        db.session.execute(insert(SubsidisedPass).values(done).on_conflict_do_update(index_elements=["id"], set_=done))
    return changed


def _state(versions: Sequence[FundingRule]) -> str:
    """What the marks depend on besides the runs. A budget that pays for any line counts the same whatever is in it."""
    parts = []
    for version in versions:
        rule, left = version.rule, version.programme.left.minor
        most = rule.fixed_minor if rule.percent is None else rule.line_cap_minor
        parts.append(f"{version.id} {version.programme.frame} {left if most is None else min(left, most)}")
    return "\n".join(parts)


def _next_courses(since: datetime | None, after: int) -> list[int]:
    query = select(CourseEntry.course_id).where(CourseEntry.course_id > after)
    if since is not None:
        query = query.where(CourseEntry.indexed_at >= since)
    return list(db.session.scalars(query.order_by(CourseEntry.course_id).limit(AT_ONCE)))


def _mark(courses: Sequence[int], versions: Sequence[FundingRule], *, now: datetime) -> int:
    """Mark the runs of these courses that one can still enrol in; a mark on another run says what was true then."""
    runs = db.session.scalars(
        select(CourseRun)
        .where(
            CourseRun.course_id.in_(courses),
            CourseRun.state == RunState.SCHEDULED,
            CourseRun.enrol_closes_at > now,
        )
        .execution_options(populate_existing=True)
    ).all()
    facts = course_facts.facts_of(Course.id.in_({run.course_id for run in runs})) if versions and runs else {}
    wrong = [run.id for run in runs if run.is_subsidised != _is_covered(run, facts, versions, now=now)]
    if wrong:
        locks = select(CourseRun.id).where(CourseRun.id.in_(wrong)).order_by(CourseRun.id).with_for_update()
        db.session.execute(locks)
        turned = update(CourseRun).where(CourseRun.id.in_(wrong)).values(is_subsidised=~CourseRun.is_subsidised)
        db.session.execute(turned, execution_options={"synchronize_session": False})
        for run_id in wrong:
            forget(CourseRun, run_id, "is_subsidised")
    return len(wrong)


def _is_covered(run: CourseRun, facts: dict[int, Offer], versions: Sequence[FundingRule], *, now: datetime) -> bool:
    """Whether an open programme would pay a part of a seat, for someone who meets what it asks of a person."""
    if not versions or run.is_free or run.starts_at is None or run.ends_at is None:
        return False
    seat = course_facts.seat_in(facts[run.course_id], run)
    [found] = estimates.estimate_all(None, [(seat, run.price)], now=now, versions=versions)
    return bool(estimates.promising(found))


@jobs.periodic(cron="* * * * *", name="enrolment.mark_subsidised")
def mark() -> None:
    """Every minute: programmes open, end and run short; courses and runs change."""
    mark_all(now=clock.now())
