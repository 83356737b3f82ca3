"""Courses as their providers write them: made, changed, sent to review, published, withdrawn.

Every verb locks the course first and adds an event in the same transaction. A save names the version it was written
against, so that two editors never overwrite each other unknowingly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.accounts.models import Organisation
from marketplace.catalog import authoring_rules as rules
from marketplace.catalog import search, trail
from marketplace.catalog.authoring_rules import Step, Translation
from marketplace.catalog.models import Course, CourseProvider, CourseState
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from marketplace.accounts.models import Person

COLUMNS = tuple(f"{field}_{language}" for field in rules.PAIRED for language in ("zh", "en"))
SAVED = (*COLUMNS, "category_id", "level", "original_language")


class EditedMeanwhile(Refused):
    """Somebody saved the same thing since this page was opened; `changed` maps columns to what stands there now."""

    def __init__(self, changed: dict[str, Any]) -> None:
        """Say what was kept and what to do."""
        sentence = lazy(
            "Somebody else saved this since you opened it. What you typed is still here, unsaved: compare it with what "
            "stands there now, then save again."
        )
        super().__init__("edited_meanwhile", sentence)
        self.changed = changed


def create_course(
    organisation_id: int, values: Mapping[str, Any], *, translations: Mapping[str, str], actor: Person, now: datetime
) -> Course:
    """Begin a draft that this organisation leads; raises Invalid without a title."""
    _check(values)
    with transaction():
        organisation = locked(Organisation, organisation_id)
        given = {name: values[name] for name in SAVED}
        course = add(Course(state=CourseState.DRAFT, published_at=None, created_at=now, **given))
        course.translation_state = _states({column: _empty(column) for column in COLUMNS}, course, translations)
        course.providers.append(CourseProvider(organisation_id=organisation.id, organisation=organisation))
        trail.record("created", course_id=course.id, actor_id=actor.id, now=now)
        search.index_course(course, now=now)
        return course


def save_course(
    course_id: int,
    values: Mapping[str, Any],
    *,
    translations: Mapping[str, str],
    version: int,
    actor: Person,
    now: datetime,
) -> bool:
    """Write what an editor changed; whether anything did. Locks the course.

    `version` is the one the editor saw; raises EditedMeanwhile when it is no longer the present one, Invalid without a
    title, Refused while a reviewer reads it.
    """
    _check(values)
    with transaction():
        course = locked(Course, course_id)
        _may_change(course)
        before = {name: getattr(course, name) for name in SAVED}
        changed = rules.changes(before, {name: values[name] for name in SAVED})
        if course.version != version:
            raise EditedMeanwhile({name: pair[0] for name, pair in changed.items()})
        for name, (_before, after) in changed.items():
            setattr(course, name, after)
        states = _states(before, course, translations)
        changed |= rules.changes({"translation_state": course.translation_state}, {"translation_state": states})
        course.translation_state = states
        if not changed:
            return False
        course.version += 1
        trail.record("changed", course_id=course.id, actor_id=actor.id, now=now, changed=changed)
        db.session.flush()
        search.index_course(course, now=now)
        return True


def take_step(course_id: int, step: Step, *, actor: Person, now: datetime, note: str = "") -> Course:
    """Move a course along: submit, recall, return (with a note), approve, withdraw. Locks the course.

    Raises Refused where the step does not follow from the present state, Invalid when something is missing.
    """
    with transaction():
        course = locked(Course, course_id)
        state = rules.after(step, course.state)
        if step == Step.SUBMIT:
            _check_complete(course)
        if step == Step.RETURN and not note.strip():
            raise Invalid(
                "note_needed", lazy("Say what is to be changed."), {"note": lazy("Say what is to be changed.")}
            )
        course.state = state
        if step == Step.APPROVE:
            course.published_at = course.published_at or now
            course.approved_version = course.version
        details: dict[str, Any] = {"note": note.strip()} if note.strip() else {}
        trail.record(EVENTS[step], course_id=course.id, actor_id=actor.id, now=now, **details)
        db.session.flush()
        search.index_course(course, now=now)
        return course


def look_at_changes(course_id: int, *, version: int, actor: Person, now: datetime) -> None:
    """A reviewer has read what changed since the course was approved, up to the version their page showed."""
    with transaction():
        course = locked(Course, course_id)
        if course.state != CourseState.PUBLISHED or version > course.version:
            raise Refused("course_elsewhere", lazy("The course has moved on meanwhile; please look at it again."))
        course.approved_version = max(version, course.approved_version or 0)
        trail.record("changes_read", course_id=course.id, actor_id=actor.id, now=now, version=version)


def missing(course: Course) -> list[Any]:
    """What the course still lacks before it can be reviewed."""
    texts = {column: getattr(course, column) for column in COLUMNS}
    return rules.missing(texts, original=course.original_language, has_category=course.category_id is not None)


def _check(values: Mapping[str, Any]) -> None:
    if not values["title_zh"] and not values["title_en"]:
        sentence = lazy("Enter a title in Chinese or in English.")
        raise Invalid("title_missing", sentence, {"title_zh": sentence})


def _check_complete(course: Course) -> None:
    lacking = missing(course)
    if lacking:
        raise Invalid("course_incomplete", lazy("The course still lacks something; the list says what."))


def _may_change(course: Course) -> None:
    if course.state == CourseState.IN_REVIEW:
        raise Refused(
            "in_review", lazy("A reviewer is reading the course. Take it back first if you want to change it.")
        )


def _states(before: Mapping[str, Any], course: Course, chosen: Mapping[str, str]) -> dict[str, str]:
    return rules.translation_states(
        {column: before[column] for column in COLUMNS},
        {column: getattr(course, column) for column in COLUMNS},
        # What was a translation is the original now: its states say nothing any more.
        states=course.translation_state if before.get("original_language") == course.original_language else {},
        chosen=chosen,
        original=course.original_language,
    )


def _empty(column: str) -> str | list[str]:
    return [] if column.startswith(("outcomes", "syllabus")) else ""


EVENTS = {
    Step.SUBMIT: "submitted",
    Step.RECALL: "recalled",
    Step.RETURN: "returned",
    Step.APPROVE: "approved",
    Step.WITHDRAW: "withdrawn",
}
TRANSLATIONS = {
    Translation.TRANSLATED: lazy("Translated"),
    Translation.MACHINE: lazy("Made by a machine, not checked yet"),
    Translation.STALE: lazy("Out of date: the original has changed"),
}
