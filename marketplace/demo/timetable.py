"""Decides the demo's 120 runs: two of each course, over two years around a day, in every state a run can be in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from random import Random

    from marketplace.demo.content_files import CourseText

SHANGHAI = "Asia/Shanghai"
LONDON = "Europe/London"
ENROLMENT_OPENS = timedelta(days=75)
ENROLMENT_CLOSES = timedelta(days=2)
SHORT_SESSION = 150
WEEKLY_SESSION = 180
SATURDAY, FRIDAY = 5, 4


class Fate(StrEnum):
    """What the demo shows with a run."""

    PAST = "past"
    RUNNING = "running"
    FULL = "full"
    NEARLY_FULL = "nearly_full"
    OPEN = "open"
    UNOPENED = "unopened"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run; moments are aware. `wanted` seats will be taken of `capacity`."""

    course: CourseText
    number: int
    fate: Fate
    sessions: tuple[tuple[datetime, datetime], ...]
    opens_at: datetime
    closes_at: datetime
    zone: str
    mode: str
    language: str
    wanted: int

    @property
    def key(self) -> str:
        """Its name among the demo's runs, the same at every load."""
        return f"{self.course.key}-{self.number}"

    @property
    def starts_at(self) -> datetime:
        """When its first session begins."""
        return self.sessions[0][0]

    @property
    def ends_at(self) -> datetime:
        """When its last session ends."""
        return self.sessions[-1][1]

    @property
    def price_minor(self) -> int:
        """What a seat costs, in fen; the second run of a course costs a little more than its first."""
        yuan = self.course.teaching.price
        return round(yuan * (1 if self.number == 1 else 1.1) / 20) * 20 * 100


# Days from today to the beginning, and what the run is for: 60 first runs and 60 second ones.
_FIRST = [(-720 + round(index * 11.4), Fate.PAST) for index in range(58)] + [
    (-120, Fate.CANCELLED),
    (-64, Fate.CANCELLED),
]
_SECOND = (
    [(-205 + 15 * index, Fate.PAST) for index in range(10)]
    + [(-3 - index, Fate.RUNNING) for index in range(10)]
    + [(9 + 7 * index, Fate.FULL) for index in range(7)]
    + [(8 + 8 * index, Fate.NEARLY_FULL) for index in range(7)]
    + [(7 + 3 * index, Fate.OPEN) for index in range(20)]
    + [(96 + 9 * index, Fate.UNOPENED) for index in range(4)]
    + [(25, Fate.CANCELLED), (33, Fate.CANCELLED)]
)


def plan(courses: list[CourseText], now: datetime, random: Random) -> list[PlannedRun]:
    """All runs, the courses shuffled over the calendar so that each month has something of every kind."""
    runs = []
    for number, calendar in ((1, _FIRST), (2, _SECOND)):
        shuffled = random.sample(courses, len(courses))
        runs += [
            _run(course, number, days, fate, now, random)
            for course, (days, fate) in zip(shuffled, calendar, strict=True)
        ]
    return sorted(runs, key=lambda run: (run.starts_at, run.key))


def _run(course: CourseText, number: int, days: int, fate: Fate, now: datetime, random: Random) -> PlannedRun:
    is_abroad = course.providers[0] == "northmoor" and course.teaching.mode == "online"
    zone = ZoneInfo(LONDON if is_abroad else SHANGHAI)
    first_day = now.astimezone(zone).date() + timedelta(days=days)
    sessions = _sessions(course, first_day, zone, evening=random.choice((1, 2, 3)), is_past=days < 0)
    starts_at = sessions[0][0]
    return PlannedRun(
        course=course,
        number=number,
        fate=fate,
        sessions=sessions,
        opens_at=starts_at - ENROLMENT_OPENS,
        closes_at=_end_of_day(starts_at - ENROLMENT_CLOSES),
        zone=zone.key,
        mode=course.teaching.mode,
        language=_language(course, is_abroad=is_abroad),
        wanted=_wanted(fate, course.teaching.capacity, random),
    )


def _sessions(
    course: CourseText, first_day: date, zone: ZoneInfo, *, evening: int, is_past: bool
) -> tuple[tuple[datetime, datetime], ...]:
    """Short sessions on a weekday evening each week, longer ones on Saturdays, long ones on days that follow."""
    taught = course.teaching
    length = timedelta(minutes=taught.minutes)
    if taught.minutes <= SHORT_SESSION:
        weekday, begins, step = evening, time(19, 0), timedelta(days=7)
    elif taught.minutes <= WEEKLY_SESSION:
        weekday, begins, step = SATURDAY, time(9, 30), timedelta(days=7)
    else:
        weekday, begins, step = FRIDAY, time(9, 30), timedelta(days=1)
    # A past run begins before its day, a future one after it, so that no run changes its side of today.
    shift = (weekday - first_day.weekday()) % 7 - (7 if is_past else 0)
    days = [first_day + timedelta(days=shift) + step * index for index in range(taught.sessions)]
    starts = [datetime.combine(day, begins, zone) for day in days]
    return tuple((start, start + length) for start in starts)


def _end_of_day(moment: datetime) -> datetime:
    """A deadline includes its whole local day."""
    return moment.replace(hour=23, minute=59, second=59, microsecond=0)


def _language(course: CourseText, *, is_abroad: bool) -> str:
    if is_abroad:
        return "en"
    is_joint = any(key in {"northmoor", "fjordhavn", "valmora", "kitahama"} for key in course.providers)
    return "both" if is_joint else "zh"


def _wanted(fate: Fate, capacity: int, random: Random) -> int:
    share = {
        Fate.PAST: random.uniform(0.55, 1.0),
        Fate.RUNNING: random.uniform(0.7, 1.0),
        Fate.FULL: 1.0,
        Fate.OPEN: random.uniform(0.1, 0.65),
        Fate.UNOPENED: 0.0,
        Fate.CANCELLED: 0.2,
    }
    if fate is Fate.NEARLY_FULL:
        return capacity - random.choice((1, 2, 3))
    return round(capacity * share[fate])
