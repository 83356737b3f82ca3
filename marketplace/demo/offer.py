"""Puts the demo's organisations, courses and runs into the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from marketplace.accounts.models import Organisation
from marketplace.catalog import search
from marketplace.catalog.models import (
    Category,
    Course,
    CourseProvider,
    CourseRun,
    CourseSkill,
    CourseState,
    RunState,
    Session,
    Skill,
)
from marketplace.demo import content_files, timetable
from marketplace.demo.chance import public_id, seeded
from marketplace.demo.timetable import Fate, PlannedRun
from marketplace.foundation.database import add

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.demo.content_files import CourseText

FRAMEWORK = "demo"
# Courses came into the catalogue over the two years, the first ones before the first run was announced.
FIRST_PUBLISHED_DAYS, LAST_PUBLISHED_DAYS = 800, 80


@dataclass(frozen=True)
class LoadedRun:
    """A planned run with its row; sessions in order."""

    plan: PlannedRun
    run: CourseRun
    provider_ids: tuple[int, ...]

    def is_open(self, now: datetime) -> bool:
        """Whether one can enrol in it, or wait for a seat."""
        opens, closes = self.run.enrol_opens_at, self.run.enrol_closes_at
        return self.run.state == "scheduled" and opens is not None and closes is not None and opens <= now < closes


@dataclass(frozen=True)
class Offer:
    """What was put into the catalogue."""

    organisations: dict[str, Organisation]
    runs: list[LoadedRun]


def load_offer(*, now: datetime) -> Offer:
    """Insert everything that can be looked at without signing in; call inside a transaction."""
    organisations = _organisations(now)
    categories = {
        row["code"]: add(
            Category(code=row["code"], name_zh=row["name"]["zh"], name_en=row["name"]["en"], position=index)
        )
        for index, row in enumerate(content_files.read("categories")["category"])
    }
    skills = {
        key: add(Skill(framework=FRAMEWORK, uri=f"demo:{key}", label_zh=text["zh"], label_en=text["en"]))
        for key, text in content_files.read("skills")["skill"].items()
    }
    written = content_files.courses()
    chance = seeded("courses")
    courses = {
        text.key: _course(text, index / len(written), organisations, categories, skills, public_id(chance), now)
        for index, text in enumerate(chance.sample(written, len(written)))
    }
    runs = _runs(written, courses, organisations, now)
    for course in courses.values():
        search.index_course(course, now=now)
    return Offer(organisations, runs)


def _organisations(now: datetime) -> dict[str, Organisation]:
    chance = seeded("organisations")
    made = {}
    for row in content_files.read("organisations")["organisation"]:
        paired = {f"{name}_{lang}": row[name][lang] for name in ("name", "summary", "city") for lang in ("zh", "en")}
        made[row["key"]] = add(
            Organisation(
                kind=row["kind"],
                country=row["country"],
                public_id=public_id(chance),
                is_demo=True,
                created_at=now - _days(900),
                **paired,
            )
        )
    return made


def _course(
    text: CourseText,
    age: float,
    organisations: dict[str, Organisation],
    categories: dict[str, Category],
    skills: dict[str, Skill],
    chosen_id: str,
    now: datetime,
) -> Course:
    published = now - _days(FIRST_PUBLISHED_DAYS - age * (FIRST_PUBLISHED_DAYS - LAST_PUBLISHED_DAYS))
    course = Course(
        public_id=chosen_id,
        category_id=categories[text.category].id,
        level=text.level,
        state=CourseState.PUBLISHED,
        published_at=published,
        created_at=published,
        updated_at=published,
        is_demo=True,
        source="demo",
        source_key=text.key,
        **text.fields,
    )
    course.category = categories[text.category]
    course.providers = [
        CourseProvider(
            organisation_id=organisations[key].id,
            organisation=organisations[key],
            role="co" if position else "lead",
            position=position,
        )
        for position, key in enumerate(text.providers)
    ]
    course.skills = [CourseSkill(skill_id=skills[key].id, skill=skills[key], state="reviewed") for key in text.skills]
    return add(course)


def _runs(
    written: list[CourseText], courses: dict[str, Course], organisations: dict[str, Organisation], now: datetime
) -> list[LoadedRun]:
    places, chance = content_files.read("places"), seeded("runs")
    made = []
    for planned in timetable.plan(written, now, seeded("timetable")):
        run = _run(planned, courses[planned.course.key], places, public_id(chance))
        for position, (starts_at, ends_at) in enumerate(planned.sessions, start=1):
            titles = {f"title_{lang}": planned.course.fields[f"syllabus_{lang}"][position - 1] for lang in ("zh", "en")}
            run.sessions.append(
                Session(position=position, starts_at=starts_at, ends_at=ends_at, public_id=public_id(chance), **titles)
            )
        ids = tuple(organisations[key].id for key in planned.course.providers)
        made.append(LoadedRun(planned, add(run), ids))
    return made


def _run(
    planned: PlannedRun, course: Course, places: dict[str, dict[str, dict[str, str]]], chosen_id: str
) -> CourseRun:
    place = places["online"] if planned.mode == "online" else places["place"][planned.course.providers[0]]
    run = CourseRun(
        public_id=chosen_id,
        state=RunState.CANCELLED if planned.fate is Fate.CANCELLED else RunState.SCHEDULED,
        starts_at=planned.starts_at,
        ends_at=planned.ends_at,
        zone=planned.zone,
        enrol_opens_at=planned.opens_at,
        enrol_closes_at=planned.closes_at,
        mode=planned.mode,
        place_zh=place["zh"],
        place_en=place["en"],
        language=planned.language,
        capacity=planned.course.teaching.capacity,
        price_minor=planned.price_minor,
        completion_needs_pass=planned.course.teaching.needs_pass,
        source="demo",
        source_key=planned.key,
    )
    course.runs.append(run)
    return run


def _days(number: float) -> timedelta:
    return timedelta(days=number)
