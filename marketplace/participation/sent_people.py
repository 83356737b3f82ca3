"""What an employer sees of the people it sends: only of those who let it, and only attendance and completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import joinedload

from marketplace.accounts import consents
from marketplace.accounts.models import Membership
from marketplace.catalog.models import CourseRun, Session
from marketplace.enrolment.models import Enrolment
from marketplace.foundation.database import db
from marketplace.participation.models import Attendance, Completion

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class SentLine:
    """One place of a person who shares: sessions attended of all, and when it was completed."""

    enrolment: Enrolment
    attended: int
    sessions: int
    completed_at: datetime | None


def list_lines(organisation_id: int) -> tuple[list[SentLine], int]:
    """The places of members who share, by person; and how many members do not share. Six queries, however many."""
    members = set(db.session.scalars(select(Membership.person_id).filter_by(organisation_id=organisation_id)))
    sharing = members & consents.sharing_people(organisation_id)
    query = (
        select(Enrolment)
        .where(Enrolment.person_id.in_(sharing), Enrolment.ended_at.is_(None))
        .options(joinedload(Enrolment.person), joinedload(Enrolment.run).joinedload(CourseRun.course))
        .order_by(Enrolment.person_id, Enrolment.enrolled_at.desc())
    )
    places = list(db.session.scalars(query))
    attended, sessions, completed = _counts(places)
    lines = [
        SentLine(place, attended.get(place.id, 0), sessions.get(place.run_id, 0), completed.get(place.id))
        for place in places
    ]
    return lines, len(members) - len(sharing)


def _counts(places: list[Enrolment]) -> tuple[dict[int, int], dict[int, int], dict[int, datetime]]:
    ids = [place.id for place in places]
    latest = (
        select(Attendance.enrolment_id, Attendance.status)
        .where(Attendance.enrolment_id.in_(ids))
        .ext(distinct_on(Attendance.enrolment_id, Attendance.session_id))
        .order_by(Attendance.enrolment_id, Attendance.session_id, Attendance.recorded_at.desc(), Attendance.id.desc())
        .subquery()
    )
    present = select(latest.c.enrolment_id, func.count()).where(latest.c.status == "present")
    per_run = select(Session.run_id, func.count()).where(Session.run_id.in_({place.run_id for place in places}))
    done = select(Completion.enrolment_id, Completion.completed_at).where(Completion.enrolment_id.in_(ids))
    return (
        {place: count for place, count in db.session.execute(present.group_by(latest.c.enrolment_id))},  # noqa: C416
        {run: count for run, count in db.session.execute(per_run.group_by(Session.run_id))},  # noqa: C416
        {place: moment for place, moment in db.session.execute(done)},  # noqa: C416
    )
