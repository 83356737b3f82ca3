"""What this room knows of a person, told to them and forgotten. The fact that somebody took part stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import CourseRun, Session
from marketplace.enrolment.models import Enrolment
from marketplace.foundation.database import db
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.personal_data import Identity, Section
from marketplace.participation.models import Assessment, Attendance, Completion
from marketplace.participation.upload_models import AttendanceUploadRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.foundation.errors import Refused


def tell(person_id: int) -> list[Section]:
    """Marks in registers with their trail, results, and completions."""
    marked = {
        "course": lazy("Course"),
        "session": lazy("Session"),
        "status": lazy("Attendance"),
        "reason": lazy("Reason"),
        "recorded_at": lazy("Recorded"),
    }
    marks = [
        {
            "course": _course(mark.enrolment),
            "session": mark.session.starts_at,
            "status": mark.status,
            "reason": mark.reason,
            "recorded_at": mark.recorded_at,
        }
        for mark in _facts(Attendance, person_id, joinedload(Attendance.session).load_only(Session.starts_at))
    ]
    results = [
        {"course": _course(fact.enrolment), "passed": fact.passed, "recorded_at": fact.recorded_at}
        for fact in _facts(Assessment, person_id)
    ]
    completed = [
        {"course": _course(fact.enrolment), "completed_at": fact.completed_at} for fact in _facts(Completion, person_id)
    ]
    columns = {"course": lazy("Course")}
    return [
        Section("attendance", lazy("Attendance"), marked, marks),
        Section(
            "results", lazy("Results"), columns | {"passed": lazy("Passed"), "recorded_at": lazy("Recorded")}, results
        ),
        Section("completions", lazy("Completions"), columns | {"completed_at": lazy("Completed")}, completed),
    ]


def _course(enrolment: Enrolment) -> str:
    return str(pick(enrolment.run.course, "title"))


def _facts(model: Any, person_id: int, *options: Any) -> Sequence[Any]:
    query = (
        select(model)
        .join(model.enrolment)
        .where(Enrolment.person_id == person_id)
        .options(joinedload(model.enrolment).joinedload(Enrolment.run).joinedload(CourseRun.course), *options)
    )
    return db.session.scalars(query.order_by(model.id)).all()


def find_obstacle(person_id: int) -> Refused | None:  # noqa: ARG001 - every room has the same signature
    """Nothing here waits."""
    return None


def forget(identity: Identity, *, now: datetime) -> None:  # noqa: ARG001 - every room has the same signature
    """Blank the reasons beside the person's marks, which may tell of illness, and the rows of files that name them.

    The marks are facts and stay.
    """
    rows = delete(AttendanceUploadRow).where(func.lower(AttendanceUploadRow.email).in_(identity.addresses))
    db.session.execute(rows)
    mine = select(Enrolment.id).filter_by(person_id=identity.person_id)
    db.session.execute(
        update(Attendance).where(Attendance.enrolment_id.in_(mine), Attendance.reason != "").values(reason="")
    )
