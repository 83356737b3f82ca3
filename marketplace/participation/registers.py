"""Where attendance is marked and corrected. A mark is a new fact; the latest one of a person and session speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.catalog.models import Course, CourseRun, Session
from marketplace.enrolment.models import Enrolment
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.participation import completions, doubts, rosters, rules
from marketplace.participation.models import Attendance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Mark:
    """What to write for one person; a correction of an earlier mark needs its reason."""

    status: str
    reason: str = ""


def mark(
    session_id: int, marks: Mapping[str, Mark], *, actor_id: int | None, now: datetime, source: str = "register"
) -> int:
    """Write the marks that differ from the present ones, by public id of the enrolment; returns how many were written.

    Then records the completions they lead to. Locks the run, then the session. Raises NotFound for a person who is not
    on this run's roster, Invalid for an unknown status or a correction without a reason, Refused before the session.
    """
    with transaction():
        run_id = db.session.scalar(select(Session.run_id).where(Session.id == session_id))
        # First, as whoever plans its sessions does: two files or registers of one run never wait for one another.
        run = locked(CourseRun, run_id or 0)
        session = locked(Session, session_id)
        if not rules.may_mark(session.starts_at, now):
            raise Refused("session_not_begun", lazy("Attendance can be taken from half an hour before the session."))
        enrolments = {enrolment.public_id: enrolment for enrolment in rosters.list_people(session.run_id)}
        if unknown := marks.keys() - enrolments.keys():
            raise NotFound("not_on_roster", lazy("%(count)s people are not on this roster.", count=len(unknown)))
        before = rosters.latest_marks(session.run_id)
        changed = {
            enrolments[public_id]: given
            for public_id, given in marks.items()
            if before.get((enrolments[public_id].id, session.id)) != given.status
        }
        for enrolment, given in changed.items():
            _check(before.get((enrolment.id, session.id)), given)
            _write(session, enrolment, given, actor_id=actor_id, source=source, now=now)
        completions.record_due(session.run_id, now=now)
        if changed:
            doubts.look_again_soon(run, now=now)
        return len(changed)


def _check(before: str | None, given: Mark) -> None:
    if given.status not in set(rules.Status):
        raise Invalid("unknown_status", lazy("Choose present, absent or excused."))
    if rules.needs_reason(before, given.status) and not given.reason.strip():
        raise Invalid("reason_needed", lazy("Say why you correct a mark that was made before."))


def _write(
    session: Session, enrolment: Enrolment, given: Mark, *, actor_id: int | None, source: str, now: datetime
) -> None:
    add(
        Attendance(
            enrolment_id=enrolment.id,
            session_id=session.id,
            status=given.status,
            source=source,
            reason=given.reason.strip()[:LONGEST_REASON],
            recorded_by_id=actor_id,
            recorded_at=now,
        )
    )


def get_session(public_id: str) -> Session:
    """A session with its run, course and providers; raises NotFound."""
    course = joinedload(Session.run).joinedload(CourseRun.course)
    query = select(Session).filter_by(public_id=public_id).options(course.selectinload(Course.providers))
    session = db.session.scalars(query).one_or_none()
    if session is None:
        raise NotFound
    return session


def list_trail(session_id: int) -> dict[int, list[Attendance]]:
    """Every mark ever made in a session by enrolment, oldest first, with who made it."""
    query = select(Attendance).filter_by(session_id=session_id).options(joinedload(Attendance.recorded_by))
    trail: dict[int, list[Attendance]] = {}
    for made in db.session.scalars(query.order_by(Attendance.recorded_at, Attendance.id)):
        trail.setdefault(made.enrolment_id, []).append(made)
    return trail
