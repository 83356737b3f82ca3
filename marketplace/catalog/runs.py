"""Runs as their providers plan them: dates in the run's own zone, seats, price, rule of completion, and scheduling.

Every verb locks the run (a new one: its course) and adds an event. Seats in hand bound what can be changed: capacity
never falls below them (the database refuses too), and dates that people bought are moved elsewhere, with an offer to
each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import null

from marketplace.catalog import authoring_rules, run_rules, search, trail
from marketplace.catalog.authoring import EditedMeanwhile
from marketplace.catalog.models import Course, CourseRun, RunState, Session
from marketplace.catalog.run_rules import Meeting
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from marketplace.accounts.models import Person

DATES = ("starts_at", "ends_at", "zone")
SAVED = (
    *DATES,
    *("enrol_opens_at", "enrol_closes_at", "mode", "place_zh", "place_en", "language", "capacity"),
    *("price_minor", "currency", "completion_attendance_percent", "completion_needs_pass"),
)
RULE = frozenset({"completion_attendance_percent", "completion_needs_pass"})


def create_run(course_id: int, values: Mapping[str, Any], *, actor: Person, now: datetime) -> CourseRun:
    """Begin a draft run of a course. Locks the course."""
    _check(values)
    with transaction():
        course = locked(Course, course_id)
        # Without null() the column's default would stand where the planner left the share empty on purpose.
        given = {name: null() if values[name] is None else values[name] for name in SAVED}
        run = add(CourseRun(course=course, state=RunState.DRAFT, created_at=now, **given))
        trail.record("run_created", course_id=course.id, run_id=run.id, actor_id=actor.id, now=now)
        return run


def save_run(run_id: int, values: Mapping[str, Any], *, version: int, actor: Person, now: datetime) -> bool:
    """Write what changed; whether anything did. Locks the run.

    A new price holds for later orders alone: lines keep theirs. Raises EditedMeanwhile, Invalid, and Refused for dates
    of a run in which people have seats.
    """
    _check(values)
    with transaction():
        run = locked(CourseRun, run_id)
        if run.state == RunState.CANCELLED:
            raise Refused("run_cancelled", lazy("This run has been cancelled."))
        before = {name: getattr(run, name) for name in SAVED}
        changed = authoring_rules.changes(before, {name: values[name] for name in SAVED})
        if run.version != version:
            raise EditedMeanwhile({name: pair[0] for name, pair in changed.items()})
        _check_seats(run, changed)
        if not changed:
            return False
        for name, (_before, after) in changed.items():
            setattr(run, name, after)
        run.version += 1
        run.completion_rule_version += bool(RULE & changed.keys())
        db.session.flush()
        _record_change(run, changed, actor=actor, now=now)
        _index(run, now=now)
        return True


def schedule_run(run_id: int, *, actor: Person, now: datetime) -> None:
    """Put a complete draft on sale from its opening on. Locks the run; raises Invalid when something is missing."""
    with transaction():
        run = locked(CourseRun, run_id)
        if run.state != RunState.DRAFT:
            raise Refused("run_elsewhere", lazy("The run has moved on meanwhile; please look at it again."))
        if missing(run):
            raise Invalid("run_incomplete", lazy("The run still lacks something; the list says what."))
        run.state = RunState.SCHEDULED
        db.session.flush()
        trail.record("run_scheduled", course_id=run.course_id, run_id=run.id, actor_id=actor.id, now=now)
        _index(run, now=now)


def copy_run(run_id: int, *, starts_on: date, actor: Person, now: datetime) -> CourseRun:
    """A draft like this run that starts on another local day; every moment keeps its distance and time of day."""
    with transaction():
        run = locked(CourseRun, run_id)
        if run.starts_at is None:
            raise Refused("run_undated", lazy("Give this run its dates first; the copy is counted from them."))
        days = (starts_on - run_rules.wall_clock(run.starts_at, run.zone).date()).days
        values = {name: getattr(run, name) for name in SAVED}
        for name in ("starts_at", "ends_at", "enrol_opens_at", "enrol_closes_at"):
            values[name] = run_rules.shifted(values[name], days, run.zone)
        copy = create_run(run.course_id, values, actor=actor, now=now)
        texts = ("position", "title_zh", "title_en", "place_zh", "place_en")
        for session in run.sessions:
            moments = {
                name: run_rules.shifted(getattr(session, name), days, run.zone) for name in ("starts_at", "ends_at")
            }
            copy.sessions.append(Session(**moments, **{name: getattr(session, name) for name in texts}))
        db.session.flush()
        return copy


def missing(run: CourseRun) -> list[Any]:
    """What keeps the run from being scheduled."""
    return run_rules.missing(
        starts_at=run.starts_at,
        ends_at=run.ends_at,
        has_window=run.enrol_opens_at is not None and run.enrol_closes_at is not None,
        meetings=[Meeting(session.starts_at, session.ends_at) for session in run.sessions],
        place_needed=run.mode != "online" and not (run.place_zh or run.place_en),
    )


def _check(values: Mapping[str, Any]) -> None:
    starts, ends = values["starts_at"], values["ends_at"]
    if starts and ends and ends < starts:
        raise Invalid(
            "run_dates", lazy("A run ends after it starts."), {"ends_at": lazy("A run ends after it starts.")}
        )
    opens, closes = values["enrol_opens_at"], values["enrol_closes_at"]
    if opens and closes and closes <= opens:
        sentence = lazy("Enrolment closes after it opens.")
        raise Invalid("run_window", sentence, {"enrol_closes_on": sentence})


def _check_seats(run: CourseRun, changed: Mapping[str, Any]) -> None:
    spoken_for = run.seats_taken + run.seats_kept
    if "capacity" in changed and changed["capacity"][1] < spoken_for:
        sentence = lazy("%(count)s seats are taken or held already; it cannot have fewer.", count=spoken_for)
        raise Invalid("below_taken", sentence, {"capacity": sentence})
    if run.seats_taken and any(name in changed for name in DATES):
        raise Refused(
            "run_has_people",
            lazy("People have seats in this run, so its dates cannot simply be written over: move the run instead."),
        )
    if run.seats_taken and "currency" in changed:
        raise Refused("run_has_people", lazy("People have seats in this run, so it keeps its currency."))


def _record_change(run: CourseRun, changed: Mapping[str, Any], *, actor: Person, now: datetime) -> None:
    told = {name: [_plain(value) for value in pair] for name, pair in changed.items()}
    ids = {"course_id": run.course_id, "run_id": run.id, "actor_id": actor.id}
    capacity = told.pop("capacity", None)
    if told:
        trail.record("run_changed", now=now, changed=told, **ids)
    if capacity:
        # The fact a waiting list picks up: seats that nobody held before.
        trail.record("capacity_changed", now=now, changed={"capacity": capacity}, **ids)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _index(run: CourseRun, *, now: datetime) -> None:
    course = db.session.get_one(Course, run.course_id)
    db.session.expire(course, ["runs"])
    search.index_course(course, now=now)
