"""Many seats as funding programmes see them, read at once: facts of courses, then of each of their runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from marketplace.accounts.models import Organisation
from marketplace.catalog.models import Course, CourseProvider, CourseSkill
from marketplace.foundation import keeping
from marketplace.foundation.database import db, one_row
from marketplace.foundation.errors import NotFound
from marketplace.funding.facts import Offer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from sqlalchemy import ColumnElement

    from marketplace.catalog.course_pages import RunFacts
    from marketplace.catalog.models import CourseRun


def facts_of(which: ColumnElement[bool]) -> dict[int, Offer]:
    """What rules ask about the courses that meet a condition, as a seat without a run; one query for all, by id."""
    kinds = select(CourseProvider.organisation_id, Organisation.kind).join(CourseProvider.organisation)
    providers = kinds.where(CourseProvider.course_id == Course.id).correlate(Course).subquery()
    skills = select(CourseSkill.skill_id).where(CourseSkill.course_id == Course.id, CourseSkill.skill_id.is_not(None))
    query = select(
        Course.id,
        Course.category_id,
        func.array(select(providers.c.organisation_id).scalar_subquery()),
        func.array(select(providers.c.kind).scalar_subquery()),
        func.array(skills.scalar_subquery()),
    ).where(which)
    return {row[0]: _course(*row) for row in db.session.execute(query)}


def _course(
    course_id: int, category_id: int | None, provider_ids: list[int], provider_kinds: list[str], skill_ids: list[int]
) -> Offer:
    return Offer(
        run_id=0,
        course_id=course_id,
        category_id=category_id,
        provider_ids=frozenset(provider_ids),
        provider_kinds=frozenset(provider_kinds),
        skill_ids=frozenset(skill_ids),
        starts_on=None,
        ends_on=None,
        mode="",
    )


def seat_in(course: Offer, run: CourseRun | RunFacts) -> Offer:
    """The facts of a seat in one run of the course, its days those of the run's own zone."""
    starts_on, ends_on = (_day(moment, run.tzinfo) for moment in (run.starts_at, run.ends_at))
    return replace(
        course,
        run_id=run.id,
        starts_on=starts_on,
        ends_on=ends_on,
        mode=run.mode,
        is_completable=run.is_completable,
    )


def seats_in(course_id: int, runs: Iterable[CourseRun]) -> dict[int, Offer]:
    """The facts of a seat in each of these runs of one course, by run; one statement."""
    course = facts_of(Course.id == course_id)[course_id]
    return {run.id: seat_in(course, run) for run in runs}


def _day(moment: datetime | None, zone: ZoneInfo) -> date | None:
    return None if moment is None else moment.astimezone(zone).date()


_SEAT = """
SELECT course.id, course.category_id,
       ARRAY(SELECT organisation_id FROM course_provider WHERE course_provider.course_id = course.id),
       ARRAY(SELECT kind FROM course_provider JOIN organisation ON organisation.id = organisation_id
              WHERE course_provider.course_id = course.id),
       ARRAY(SELECT skill_id FROM course_skill WHERE course_skill.course_id = course.id AND skill_id IS NOT NULL),
       run.starts_at, run.ends_at, run.zone, run.mode,
       run.completion_attendance_percent IS NOT NULL OR run.completion_needs_pass
  FROM course_run AS run JOIN course ON course.id = run.course_id
 WHERE run.id = %(run)s
"""


def seat_of(run_id: int) -> Offer:
    """The facts of a seat in one run, in one statement past the ORM; raises NotFound."""
    row = keeping.once(("seat", run_id), lambda: one_row(_SEAT, {"run": run_id}))
    if row is None:
        raise NotFound
    *course, starts_at, ends_at, zone, mode, is_completable = row
    starts_on, ends_on = (_day(moment, ZoneInfo(zone)) for moment in (starts_at, ends_at))
    found = replace(_course(*course), run_id=run_id, starts_on=starts_on, ends_on=ends_on, mode=mode)
    return replace(found, is_completable=is_completable)
