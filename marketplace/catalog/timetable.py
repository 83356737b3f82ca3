"""The sessions of a run: added one by one or week by week, changed, removed; numbered by their start.

Each verb locks the run. A session in which attendance was taken cannot be removed: the database refuses, whoever asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.catalog import run_rules, trail
from marketplace.catalog.models import Course, CourseProvider, CourseRun, RunState, Session
from marketplace.catalog.run_rules import Meeting
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from marketplace.accounts.models import Person

MOST_SESSIONS = 200
TEXTS = ("title_zh", "title_en", "place_zh", "place_en")


def add_sessions(
    run_id: int, meetings: Sequence[Meeting], texts: Mapping[str, str], *, actor: Person, now: datetime
) -> None:
    """Add sessions; raises Invalid for one that overlaps another.

    A draft without dates takes them from its sessions.
    """
    with transaction():
        run = _open(run_id)
        for meeting in meetings:
            run_rules.check_meeting(meeting)
            _check_free(run, meeting)
            given = {name: texts.get(name, "") for name in TEXTS}
            run.sessions.append(
                Session(position=-1 - len(run.sessions), starts_at=meeting.starts_at, ends_at=meeting.ends_at, **given)
            )
        if len(run.sessions) > MOST_SESSIONS:
            raise Invalid("too_many_sessions", lazy("A run has at most %(most)s sessions.", most=MOST_SESSIONS))
        if run.state == RunState.DRAFT and run.starts_at is None and run.ends_at is None:
            run.starts_at = min(session.starts_at for session in run.sessions)
            run.ends_at = max(session.ends_at for session in run.sessions)
        _renumber(run)
        _record("sessions_added", run, actor, now, count=len(meetings))


def save_session(session_id: int, meeting: Meeting, texts: Mapping[str, str], *, actor: Person, now: datetime) -> None:
    """Change when and where a session is, and what it is called. Locks the run; raises Invalid, NotFound."""
    run_rules.check_meeting(meeting)
    with transaction():
        session = _session(session_id)
        run = _open(session.run_id)
        before = [session.starts_at.isoformat(), session.ends_at.isoformat()]
        _check_free(run, meeting, but=session)
        session.starts_at, session.ends_at = meeting.starts_at, meeting.ends_at
        for name in TEXTS:
            setattr(session, name, texts[name])
        _renumber(run)
        after = [session.starts_at.isoformat(), session.ends_at.isoformat()]
        changed = {"session": [before, after]} if before != after else {}
        _record("session_changed", run, actor, now, changed=changed)


def remove_session(session_id: int, *, actor: Person, now: datetime) -> None:
    """Remove a session. Locks the run; refused by the database once attendance was taken in it.

    A scheduled run keeps its last session, since without any nobody could complete it.
    """
    with transaction():
        session = _session(session_id)
        run = _open(session.run_id)
        if run.state == RunState.SCHEDULED and len(run.sessions) == 1:
            raise Refused("last_session", lazy("A scheduled run keeps at least one session."))
        run.sessions.remove(session)
        db.session.flush()
        _renumber(run)
        when = [session.starts_at.isoformat(), session.ends_at.isoformat()]
        _record("session_removed", run, actor, now, changed={"session": [when, None]})


def get_session(public_id: str) -> Session:
    """A session with its run, course and providers; raises NotFound. Doors ask whose it is."""
    course = joinedload(Session.run).joinedload(CourseRun.course)
    query = select(Session).filter_by(public_id=public_id)
    found = db.session.scalar(
        query.options(course.selectinload(Course.providers).joinedload(CourseProvider.organisation))
    )
    if found is None:
        raise NotFound
    return found


def _open(run_id: int) -> CourseRun:
    run = locked(CourseRun, run_id)
    if run.state == RunState.CANCELLED:
        raise Refused("run_cancelled", lazy("This run has been cancelled."))
    db.session.refresh(run, ["sessions"])
    return run


def _session(session_id: int) -> Session:
    found = db.session.get(Session, session_id)
    if found is None:
        raise NotFound
    return found


def _check_free(run: CourseRun, meeting: Meeting, *, but: Session | None = None) -> None:
    for other in run.sessions:
        if other is not but and meeting.starts_at < other.ends_at and other.starts_at < meeting.ends_at:
            raise Invalid("sessions_overlap", lazy("Two sessions of a run cannot be at the same time."))


def _renumber(run: CourseRun) -> None:
    """Number the sessions by their start; in two steps, as no two may have one number at any moment."""
    db.session.flush()
    ordered = sorted(run.sessions, key=lambda session: session.starts_at)
    if [session.position for session in ordered] != list(range(1, len(ordered) + 1)):
        for position, session in enumerate(ordered, start=1):
            session.position = -position - 2 * MOST_SESSIONS
        db.session.flush()
        for position, session in enumerate(ordered, start=1):
            session.position = position
    db.session.flush()
    run.sessions.sort(key=lambda session: session.starts_at)


def _record(kind: str, run: CourseRun, actor: Person, now: datetime, **details: Any) -> None:
    trail.record(kind, course_id=run.course_id, run_id=run.id, actor_id=actor.id, now=now, **details)
