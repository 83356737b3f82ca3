"""Many seats as funding programmes see them, read at once: facts of courses, then of each of their runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from marketplace.accounts.models import Organisation
from marketplace.catalog.models import Course, CourseProvider, CourseSkill
from marketplace.foundation.database import db
from marketplace.funding.facts import Offer

if TYPE_CHECKING:
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
    return {
        number: Offer(
            run_id=0,
            course_id=number,
            category_id=category_id,
            provider_ids=frozenset(provider_ids),
            provider_kinds=frozenset(provider_kinds),
            skill_ids=frozenset(skill_ids),
            starts_on=None,
            ends_on=None,
            mode="",
        )
        for number, category_id, provider_ids, provider_kinds, skill_ids in db.session.execute(query)
    }


def seat_in(course: Offer, run: CourseRun | RunFacts) -> Offer:
    """The facts of a seat in one run of the course, its days those of the run's own zone."""
    starts_on, ends_on = (moment and moment.astimezone(run.tzinfo).date() for moment in (run.starts_at, run.ends_at))
    return replace(course, run_id=run.id, starts_on=starts_on, ends_on=ends_on, mode=run.mode)
