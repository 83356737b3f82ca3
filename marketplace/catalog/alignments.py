"""Which skills a course teaches: proposed by its provider, confirmed, rejected or mapped by a reviewer.

Equality of labels finds few (31 of 328 in a large catalogue), so free text stays free text until a person maps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.catalog import search, trail
from marketplace.catalog.models import Course, CourseProvider, CourseSkill, Skill
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

    from marketplace.accounts.models import Person

MOST_FOUND = 12
MOST_SUGGESTED = 5
MOST_SKILLS = 40
PAGE = 30


def find_skills(words: str, *, limit: int = MOST_FOUND) -> Sequence[Skill]:
    """Skills whose label in either language contains the words or is like them, nearest first."""
    plain = " ".join(words.split())[:120]
    if not plain:
        return []
    escaped = plain.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    near = _nearness(plain)
    contains = or_(Skill.label_en.ilike(f"%{escaped}%"), Skill.label_zh.ilike(f"%{escaped}%"))
    alike = or_(Skill.label_en.op("%")(plain), Skill.label_zh.op("%")(plain))
    query = select(Skill).where(or_(contains, alike)).order_by(near.desc(), Skill.id).limit(limit)
    return db.session.scalars(query).all()


def _nearness(plain: str) -> ColumnElement[float]:
    return func.greatest(
        func.similarity(Skill.label_en, plain), func.similarity(func.coalesce(Skill.label_zh, ""), plain)
    )


def suggest(alignment: CourseSkill) -> Sequence[Skill]:
    """Skills that free text may mean; a person decides."""
    return find_skills(alignment.free_text, limit=MOST_SUGGESTED) if alignment.free_text else []


def propose_skill(course_id: int, skill_id: int, *, actor: Person, now: datetime) -> None:
    """Say that the course teaches a skill of a framework. Locks the course; one that was rejected is asked again."""
    with transaction():
        course = _open(course_id)
        skill = db.session.get(Skill, skill_id)
        if skill is None:
            raise NotFound
        found = next((taught for taught in course.skills if taught.skill_id == skill_id), None)
        if found is not None and found.state != "rejected":
            raise Refused("skill_there", lazy("The course names this skill already."))
        if found is None:
            found = add(CourseSkill(course=course, skill=skill))
        found.state, found.proposed_by_id, found.proposed_at = "proposed", actor.id, now
        found.decided_by_id = found.decided_at = None
        trail.record("skill_proposed", course_id=course_id, actor_id=actor.id, now=now, skill=_label(found))


def propose_words(course_id: int, words: str, *, actor: Person, now: datetime) -> None:
    """Name a skill in the provider's own words. Locks the course."""
    plain = " ".join(words.split())
    if not 1 < len(plain) <= 120:  # noqa: PLR2004 - the shortest Chinese skill has two characters
        raise Invalid("skill_words", lazy("Write the skill in 2 to 120 characters."))
    with transaction():
        course = _open(course_id)
        if plain.casefold() in {(taught.free_text or "").casefold() for taught in course.skills}:
            raise Refused("skill_there", lazy("The course names this skill already."))
        made = add(CourseSkill(course=course, free_text=plain, proposed_by_id=actor.id, proposed_at=now))
        trail.record("skill_proposed", course_id=course_id, actor_id=actor.id, now=now, skill=_label(made))
        search.index_course(course, now=now)


def withdraw(course_id: int, alignment_id: int, *, actor: Person, now: datetime) -> None:
    """Take a skill off the course. Locks the course; raises NotFound for another course's."""
    with transaction():
        course = _open(course_id)
        found = next((taught for taught in course.skills if taught.id == alignment_id), None)
        if found is None:
            raise NotFound
        trail.record("skill_withdrawn", course_id=course_id, actor_id=actor.id, now=now, skill=_label(found))
        course.skills.remove(found)
        db.session.flush()
        search.index_course(course, now=now)


def decide(alignment_id: int, decision: str, *, skill_id: int | None, actor: Person, now: datetime) -> None:
    """A reviewer's word: "accept", "reject", or "map" words to a skill. Locks the course; each is decided once.

    Accepted free text stays plain words. Mapping to a skill the course has already only drops the words.
    """
    with transaction():
        found = _locked(alignment_id)
        if found.state != "proposed":
            raise Refused("decided_already", lazy("Somebody has decided about this skill already."))
        if decision == "map":
            found = _mapped(found, skill_id)
        found.state = "rejected" if decision == "reject" else "reviewed"
        found.decided_by_id, found.decided_at = actor.id, now
        kind = {"accept": "skill_accepted", "reject": "skill_rejected", "map": "skill_mapped"}[decision]
        trail.record(kind, course_id=found.course_id, actor_id=actor.id, now=now, skill=_label(found))
        db.session.flush()
        search.index_course(found.course, now=now)


def list_waiting(*, after: int = 0) -> tuple[Sequence[CourseSkill], int | None]:
    """The oldest proposals after an id, with their courses and providers, and the id that continues the list."""
    providers = joinedload(CourseSkill.course).selectinload(Course.providers).joinedload(CourseProvider.organisation)
    query = select(CourseSkill).where(CourseSkill.state == "proposed", CourseSkill.id > after)
    query = query.options(providers, selectinload(CourseSkill.skill)).order_by(CourseSkill.id).limit(PAGE + 1)
    found = db.session.scalars(query).all()
    return found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None


def count_waiting() -> int:
    """How many proposals wait for a reviewer."""
    query = select(func.count()).select_from(CourseSkill).where(CourseSkill.state == "proposed")
    return db.session.scalar(query) or 0


def _open(course_id: int) -> Course:
    course = locked(Course, course_id)
    db.session.refresh(course, ["skills"])
    if len(course.skills) > MOST_SKILLS:
        raise Refused("too_many_skills", lazy("A course names at most %(most)s skills.", most=MOST_SKILLS))
    return course


def _locked(alignment_id: int) -> CourseSkill:
    course_id = db.session.scalar(select(CourseSkill.course_id).where(CourseSkill.id == alignment_id))
    if course_id is None:
        raise NotFound
    _open(course_id)
    return locked(CourseSkill, alignment_id)


def _mapped(words: CourseSkill, skill_id: int | None) -> CourseSkill:
    skill = db.session.get(Skill, skill_id) if skill_id else None
    if skill is None or words.free_text is None:
        raise Invalid("no_such_skill", lazy("Choose the skill that these words mean."))
    course = words.course
    same = next((taught for taught in course.skills if taught.skill_id == skill.id), None)
    if same is not None:
        same.mapped_from = words.free_text
        course.skills.remove(words)
        return same
    words.mapped_from, words.free_text, words.skill = words.free_text, None, skill
    db.session.flush()
    return words


def _label(taught: CourseSkill) -> str:
    return taught.skill.label_en if taught.skill else (taught.free_text or "")
