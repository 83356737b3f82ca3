"""Who is in a run and how far each has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import joinedload, selectinload

from marketplace.accounts.models import Person
from marketplace.catalog.models import Course, CourseProvider, CourseRun, RunState
from marketplace.enrolment.models import Enrolment
from marketplace.foundation.database import db
from marketplace.foundation.errors import NotFound
from marketplace.participation import rules
from marketplace.participation.models import Assessment, Attendance, Completion

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

PAGE = 50


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One person of a run: the latest mark of each session, the latest result, progress and completion."""

    enrolment: Enrolment
    marks: list[str | None]
    assessment: Assessment | None
    progress: rules.Progress
    completion: Completion | None

    @property
    def is_due(self) -> bool:
        """Whether a completion is to be recorded now."""
        return self.progress.is_complete and self.completion is None and not self.enrolment.is_suspended

    @property
    def is_in_doubt(self) -> bool:
        """Whether a correction took away what the recorded completion rested on."""
        return self.completion is not None and not self.progress.is_complete


def get_run(public_id: str) -> CourseRun:
    """A run with its course, providers and sessions; raises NotFound."""
    query = (
        select(CourseRun)
        .filter_by(public_id=public_id)
        .options(
            joinedload(CourseRun.course).selectinload(Course.providers).joinedload(CourseProvider.organisation),
            selectinload(CourseRun.sessions),
        )
    )
    run = db.session.scalars(query).one_or_none()
    if run is None:
        raise NotFound
    return run


def list_people(run_id: int) -> list[Enrolment]:
    """The active enrolments of a run with their people, by name."""
    query = select(Enrolment).join(Enrolment.person).filter(Enrolment.run_id == run_id, Enrolment.ended_at.is_(None))
    return list(db.session.scalars(query.options(joinedload(Enrolment.person)).order_by(Person.name, Enrolment.id)))


def latest_marks(run_id: int, *, enrolment_id: int | None = None) -> dict[tuple[int, int], str]:
    """The latest status by (enrolment, session)."""
    query = (
        select(Attendance.enrolment_id, Attendance.session_id, Attendance.status)
        .join(Enrolment, Enrolment.id == Attendance.enrolment_id)
        .where(Enrolment.run_id == run_id)
        .ext(distinct_on(Attendance.enrolment_id, Attendance.session_id))
        .order_by(Attendance.enrolment_id, Attendance.session_id, Attendance.recorded_at.desc(), Attendance.id.desc())
    )
    if enrolment_id is not None:
        query = query.where(Enrolment.id == enrolment_id)
    return {(enrolment, session): status for enrolment, session, status in db.session.execute(query)}


def latest_assessments(enrolment_ids: Iterable[int]) -> dict[int, Assessment]:
    """The latest assessment by enrolment."""
    query = (
        select(Assessment)
        .where(Assessment.enrolment_id.in_(list(enrolment_ids)))
        .ext(distinct_on(Assessment.enrolment_id))
        .order_by(Assessment.enrolment_id, Assessment.recorded_at.desc(), Assessment.id.desc())
    )
    return {assessment.enrolment_id: assessment for assessment in db.session.scalars(query)}


def rule_of(run: CourseRun) -> rules.CompletionRule:
    """What the run asks of its learners."""
    return rules.CompletionRule(
        run.completion_attendance_percent, run.completion_needs_pass, run.completion_rule_version
    )


def list_lines(run: CourseRun, *, now: datetime) -> list[RosterLine]:
    """The roster of a run, by name."""
    return _lines(run, list_people(run.id), latest_marks(run.id), now=now)


def get_line(enrolment: Enrolment, *, now: datetime) -> RosterLine:
    """One person's own line."""
    run = enrolment.run
    return _lines(run, [enrolment], latest_marks(run.id, enrolment_id=enrolment.id), now=now)[0]


def _lines(
    run: CourseRun, people: list[Enrolment], marks: dict[tuple[int, int], str], *, now: datetime
) -> list[RosterLine]:
    ids = [enrolment.id for enrolment in people]
    assessments = latest_assessments(ids)
    found = select(Completion).where(Completion.enrolment_id.in_(ids))
    completions = {completion.enrolment_id: completion for completion in db.session.scalars(found)}
    lines = []
    for enrolment in people:
        own = [marks.get((enrolment.id, session.id)) for session in run.sessions]
        assessment = assessments.get(enrolment.id)
        progress = rules.progress(
            rule_of(run), own, passed=assessment.passed if assessment else None, is_over=is_over(run, now)
        )
        lines.append(RosterLine(enrolment, own, assessment, progress, completions.get(enrolment.id)))
    return lines


def last_moment(run: CourseRun) -> datetime | None:
    """The end of the last session, or of the run if it has none."""
    return max((session.ends_at for session in run.sessions), default=run.ends_at)


def is_over(run: CourseRun, now: datetime) -> bool:
    """Whether the last session has ended."""
    end = last_moment(run)
    return end is not None and end <= now


def list_teaching(
    organisation_ids: Iterable[int], *, before: int | None = None
) -> tuple[list[tuple[CourseRun, int]], int | None]:
    """The scheduled runs of these organisations, newest start first, with how many people are enrolled.

    A page, after the run with the id `before`; the second value continues the list, None at its end.
    """
    mine = select(CourseProvider.course_id).where(CourseProvider.organisation_id.in_(list(organisation_ids)))
    people = (
        select(func.count())
        .select_from(Enrolment)
        .where(Enrolment.run_id == CourseRun.id, Enrolment.ended_at.is_(None))
        .scalar_subquery()
    )
    query = (
        select(CourseRun, people)
        .where(CourseRun.course_id.in_(mine), CourseRun.state != RunState.DRAFT)
        .options(joinedload(CourseRun.course).joinedload(Course.category))
        .order_by(CourseRun.starts_at.desc(), CourseRun.id.desc())
    )
    if before is not None:
        last = select(CourseRun.starts_at, CourseRun.id).where(CourseRun.id == before)
        query = query.where(tuple_(CourseRun.starts_at, CourseRun.id) < last.scalar_subquery())
    rows = [(run, count) for run, count in db.session.execute(query.limit(PAGE + 1))]
    return rows[:PAGE], rows[PAGE - 1][0].id if len(rows) > PAGE else None


def evidence_of(line: RosterLine) -> dict[str, Any]:
    """What is known of a person's part in a run, as subsidies keep it; shares in whole per cent, moments in ISO."""
    completion = line.completion
    return {
        "enrolment": line.enrolment.public_id,
        "present": line.progress.present,
        "excused": line.progress.excused,
        "sessions": line.progress.sessions,
        "attendance_percent": line.progress.percent,
        "completed_at": completion.completed_at.isoformat() if completion else None,
        "completion_rule_version": completion.rule_version if completion else None,
    }
