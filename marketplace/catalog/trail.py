"""The history of a course: what was changed, when, by whom. Rows are only ever added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.catalog.authoring_models import CourseEvent
from marketplace.foundation.database import add, db

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

SHOWN = 50


def record(
    kind: str, *, course_id: int, actor_id: int | None, now: datetime, run_id: int | None = None, **details: Any
) -> CourseEvent:
    """Add a row; call inside the transaction of the act."""
    return add(
        CourseEvent(kind=kind, course_id=course_id, run_id=run_id, actor_id=actor_id, occurred_at=now, details=details)
    )


def list_events(course_id: int, *, before: int | None = None) -> tuple[Sequence[CourseEvent], int | None]:
    """The newest SHOWN events of a course before an id, and the id that continues the list."""
    query = select(CourseEvent).where(CourseEvent.course_id == course_id)
    if before is not None:
        query = query.where(CourseEvent.id < before)
    query = query.options(joinedload(CourseEvent.actor), joinedload(CourseEvent.run))
    found = db.session.scalars(query.order_by(CourseEvent.id.desc()).limit(SHOWN + 1)).all()
    return found[:SHOWN], found[SHOWN - 1].id if len(found) > SHOWN else None


def last_note(course_id: int) -> CourseEvent | None:
    """What the reviewer wrote when the course was returned last, with who wrote it."""
    query = select(CourseEvent).where(CourseEvent.course_id == course_id, CourseEvent.kind == "returned")
    return db.session.scalar(query.options(joinedload(CourseEvent.actor)).order_by(CourseEvent.id.desc()).limit(1))
