"""What a provider's desk and the reviewers' queue show: courses in every state, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import defer, joinedload, selectinload

from marketplace.catalog.models import (
    CHANGED_SINCE_APPROVAL,
    Course,
    CourseProvider,
    CourseRun,
    CourseSkill,
    CourseState,
)
from marketplace.foundation.database import db
from marketplace.foundation.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = 30


def get_course(public_id: str) -> Course:
    """A course in any state with all its pages show; raises NotFound. Doors ask whose it is."""
    query = (
        select(Course)
        .filter_by(public_id=public_id)
        .options(
            joinedload(Course.category),
            selectinload(Course.providers).joinedload(CourseProvider.organisation),
            selectinload(Course.runs).selectinload(CourseRun.sessions),
            selectinload(Course.skills).joinedload(CourseSkill.skill),
        )
    )
    course = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if course is None:
        raise NotFound
    return course


def get_run(public_id: str) -> CourseRun:
    """A run in any state with course, providers and sessions; raises NotFound. Doors ask whose it is."""
    query = (
        select(CourseRun)
        .filter_by(public_id=public_id)
        .options(
            joinedload(CourseRun.course).selectinload(Course.providers).joinedload(CourseProvider.organisation),
            selectinload(CourseRun.sessions),
        )
    )
    run = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if run is None:
        raise NotFound
    return run


def list_courses(
    organisation_id: int, *, state: str | None = None, before: int | None = None
) -> tuple[Sequence[Course], int | None]:
    """The newest courses of an organisation before an id, and the id that continues the list: two queries."""
    mine = select(CourseProvider.course_id).where(CourseProvider.organisation_id == organisation_id)
    query = select(Course).where(Course.id.in_(mine))
    if state is not None:
        query = query.where(Course.state == state)
    if before is not None:
        query = query.where(Course.id < before)
    query = query.options(selectinload(Course.runs), joinedload(Course.category), *_without_long_texts())
    found = db.session.scalars(query.order_by(Course.id.desc()).limit(PAGE + 1)).all()
    return found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None


def count_courses(organisation_id: int) -> dict[str, int]:
    """How many courses an organisation has in each state."""
    mine = select(CourseProvider.course_id).where(CourseProvider.organisation_id == organisation_id)
    query = select(Course.state, func.count()).where(Course.id.in_(mine)).group_by(Course.state)
    return {state: number for state, number in db.session.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def list_in_review() -> Sequence[Course]:
    """The courses that wait for a reviewer, longest waiting first."""
    query = select(Course).where(Course.state == CourseState.IN_REVIEW).order_by(Course.updated_at, Course.id)
    return db.session.scalars(query.limit(PAGE).options(*_providers(), *_without_long_texts())).all()


def list_changed_since_approval() -> Sequence[Course]:
    """Published courses that their editors changed after a reviewer read them, latest change first."""
    query = select(Course).where(text(CHANGED_SINCE_APPROVAL)).order_by(Course.updated_at.desc()).limit(PAGE)
    return db.session.scalars(query.options(*_providers(), *_without_long_texts())).all()


def _providers() -> list[Any]:
    return [selectinload(Course.providers).joinedload(CourseProvider.organisation), joinedload(Course.category)]


def _without_long_texts() -> list[Any]:
    return [defer(column) for column in (Course.description_zh, Course.description_en)]
