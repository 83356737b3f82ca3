"""What a foreign catalogue's row says, read strictly: pure, and every fault has a code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from marketplace.foundation.money import EXPONENTS, Money, MoneyError

# What may become of a row. Notes are kept beside an accepted one.
ACCEPTED, CHANGED, UNCHANGED, REFUSED = "accepted", "changed", "unchanged", "refused"
MODES = {"online": "online", "in person": "in_person", "blended": "blended", "hybrid": "blended"}
ENROLMENT_OPENS_BEFORE = timedelta(days=180)
LONGEST_TITLE = 300


class RowFault(Exception):
    """A row that cannot be taken; the code is its reason in the report."""


@dataclass(frozen=True)
class CourseRow:
    """One course as a source tells it; texts are empty where the source is silent."""

    line: int
    key: str
    provider: str
    language: str
    title: str
    summary: str
    description: str
    category: str
    url: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunRow:
    """One run as a source tells it; without dates it can be kept as a draft only."""

    line: int
    key: str
    course_key: str
    first_day: date | None
    last_day: date | None
    zone: str
    mode: str
    place: str
    language: str
    price: Money
    notes: tuple[str, ...] = ()


def one_line(text: str | None) -> str:
    """A text without line ends and doubled spaces."""
    return " ".join((text or "").split())


def title_of(text: str | None) -> str:
    """A title; raises RowFault for none or an endless one."""
    title = one_line(text)
    if not title:
        raise RowFault("title_missing")
    if len(title) > LONGEST_TITLE:
        raise RowFault("title_too_long")
    return title


def key_of(text: str | None) -> str:
    """The source's own key; raises RowFault for none."""
    key = one_line(text)
    if not key:
        raise RowFault("key_missing")
    return key


def day_of(text: str | None) -> date | None:
    """A day written 2024-10-20, or None for nothing; raises RowFault for anything else."""
    plain = one_line(text)
    if not plain:
        return None
    try:
        return date.fromisoformat(plain[:10])
    except ValueError as error:
        raise RowFault("date_unreadable") from error


def price_of(text: str | None, currency: str) -> Money:
    """A price in major units; raises RowFault for none, a negative one or a currency we cannot charge."""
    if currency not in EXPONENTS:
        raise RowFault("currency_unknown")
    try:
        price = Money.parse(text or "", currency)
    except MoneyError as error:
        raise RowFault("price_unreadable") from error
    if price.minor < 0:
        raise RowFault("price_negative")
    return price


def mode_of(text: str | None) -> tuple[str, tuple[str, ...]]:
    """The mode, and a note when it was guessed."""
    plain = one_line(text).lower()
    return (MODES[plain], ()) if plain in MODES else ("in_person", ("mode_assumed",))


def window_of(first_day: date, last_day: date, zone: str) -> tuple[datetime, datetime, datetime, datetime]:
    """Start, end, opening and closing of enrolment in UTC; it closes at the local midnight before the first day."""
    local = ZoneInfo(zone)
    starts = datetime.combine(first_day, time(9), local).astimezone(UTC)
    ends = datetime.combine(last_day, time(17), local).astimezone(UTC)
    closes = datetime.combine(first_day, time(), local).astimezone(UTC)
    return starts, ends, closes - ENROLMENT_OPENS_BEFORE, closes


def category_code(name: str) -> str:
    """A code for a category that came with a source: readable for Latin names, its characters' numbers for others."""
    latin = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"src-{latin}" if latin else "src-" + "-".join(f"{ord(letter):x}" for letter in name)
