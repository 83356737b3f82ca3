"""How rows of other people's catalogues become courses and runs: pure reading, nothing is looked up or written here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from marketplace.foundation.csv_files import decoded, table_of
from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money, MoneyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from marketplace.foundation.i18n import LazyString

LARGEST_FILE = 16 * 1024 * 1024
MOST_ROWS = 100_000
LONGEST_TITLE = 300
# What a source that says nothing about seats is given; the provider corrects it before selling.
SEATS_UNKNOWN = 30
# So many rows tell which columns there are.
LOOKED_AT = 50
# A key longer than this is another column, mapped by mistake; an index could not take it.
LONGEST_KEY = 500
LONGEST_DESCRIPTION = 20_000
# A run outside them is a slip of the keyboard, and nothing can be counted back from the first year.
YEARS = range(1950, 2200)
OPENS_BEFORE = timedelta(days=180)
MODES = {"in person": "in_person", "online": "online", "blended": "blended"}


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say about a row: a code of SENTENCES and what fills its places."""

    code: str
    values: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The sentence in the reader's language."""
        return str(SENTENCES[self.code]) % self.values


SENTENCES = {
    "incomplete": lazy("A course needs a key, a title and a provider."),
    "run_incomplete": lazy("A run needs a key and the key of its course."),
    "key_long": lazy("The key is longer than 500 characters."),
    "twice": lazy("The file holds this key twice; the first row counts."),
    "duplicate": lazy("The same provider has another course of this title: a duplicate?"),
    "price": lazy("The price is not an amount of money."),
    "mode": lazy("How the run takes place is not known: in person, online or blended."),
    "undated": lazy("It has no dates: kept as a draft."),
    "order": lazy("A run ends after it starts, and enrolment closes after it opens."),
    "currency": lazy("It is also priced %(other)s; a run has one currency, and USD is taken."),
    "orphan": lazy("No course of this source has the key %(course)s."),
    "category": lazy("The category %(category)s is not one of ours: left empty."),
}


@dataclass(frozen=True, slots=True)
class CourseRow:
    """A course as its source tells it; `key` names it there for ever."""

    key: str
    provider: str
    title_zh: str = ""
    title_en: str = ""
    description_zh: str = ""
    description_en: str = ""
    category: str = ""
    topics: tuple[str, ...] = ()
    url: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as its source tells it; without dates it can only be a draft."""

    key: str
    course_key: str
    price: Money
    mode: str
    place: str = ""
    language: str = "en"
    zone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    capacity: int = SEATS_UNKNOWN
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be taken, and why."""

    key: str
    note: Note


Parsed = CourseRow | RunRow | Fault


@dataclass(frozen=True, slots=True)
class Mapping:
    """A kind of file: whose keys it holds, and how one of its rows is read."""

    source: str
    read: Callable[[dict[str, Any]], Parsed]
    columns: frozenset[str]
    label: str | LazyString


def table(content: bytes) -> list[dict[str, Any]]:
    """The rows of a CSV or JSON file as they are; raises Invalid when it is neither, or too long."""
    rows = list(_rows(content))
    if len(rows) > MOST_ROWS:
        raise Invalid("import_too_long", lazy("The file has too many rows: 100,000 at most."))
    return rows


def parse(mapping: Mapping, content: bytes) -> list[Parsed]:
    """Every row of a file, read or refused; raises Invalid when it is no file of this mapping at all."""
    rows = table(content)
    # An object of JSON may leave out what it has nothing to say about.
    missing = mapping.columns.difference(*rows[:LOOKED_AT])
    if missing:
        columns = ", ".join(sorted(missing))
        raise Invalid("import_columns", lazy("The file lacks these columns: %(columns)s.", columns=columns))
    return list(_once(mapping.read(row) for row in rows))


def _once(parsed: Iterator[Parsed]) -> Iterator[Parsed]:
    """Refuse the second row with a key, and note a course that looks like one before it."""
    keys: set[str] = set()
    titles: set[tuple[str, str]] = set()
    for row in parsed:
        if len(row.key) > LONGEST_KEY:
            yield Fault(row.key[:LONGEST_KEY], Note("key_long"))
            continue
        if row.key and row.key in keys:
            yield Fault(row.key, Note("twice"))
            continue
        keys.add(row.key)
        if isinstance(row, CourseRow):
            title = (row.provider, row.title_zh or row.title_en)
            if title in titles:
                yield replace(row, notes=(*row.notes, Note("duplicate")))
                continue
            titles.add(title)
        yield row


def _rows(content: bytes) -> Iterator[dict[str, Any]]:
    unreadable = Invalid("import_unreadable", lazy("The file is neither CSV nor a JSON list of objects."))
    try:
        text = decoded(content)
        if not text.lstrip().startswith("["):
            yield from table_of(content)[1]
            return
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError, Invalid) as error:
        raise unreadable from error
    if not all(isinstance(row, dict) for row in found):
        raise unreadable
    yield from ({name: _sound(value) for name, value in row.items()} for row in found)


def _sound(value: Any) -> Any:
    """A text of JSON without what it may escape and no text can hold: a NUL, half of a pair of surrogates."""
    return value.replace("\0", "").encode(errors="replace").decode() if isinstance(value, str) else value


def _text(row: dict[str, Any], name: str) -> str:
    return " ".join(str(row.get(name) or "").split())


def _icourse163(row: dict[str, Any]) -> Parsed:
    key, title, provider = _text(row, "课程链接"), _text(row, "课程名称"), _text(row, "开课单位")
    if not (key and title and provider):
        return Fault(key, Note("incomplete"))
    return CourseRow(
        key=key, provider=provider, title_zh=title[:LONGEST_TITLE], category=_text(row, "课程分类"), url=key
    )


def _sloan_course(row: dict[str, Any]) -> Parsed:
    key, title = _text(row, "Course_Id"), _text(row, "Title")
    if not (key and title):
        return Fault(key, Note("incomplete"))
    return CourseRow(
        key=key,
        provider=SLOAN,
        title_en=title[:LONGEST_TITLE],
        description_en=str(row.get("Description") or "").strip()[:LONGEST_DESCRIPTION],
        topics=tuple(topic.strip() for topic in _text(row, "Topics").split(",") if topic.strip()),
        url=_text(row, "URL"),
    )


def _sloan_run(row: dict[str, Any]) -> Parsed:
    course_key = _text(row, "Course_Id")
    key = f"{course_key} {_text(row, 'CO_Title')}"
    mode = MODES.get(_text(row, "Delivery").lower())
    price = _price(_text(row, "Price"), "USD")
    if price is None:
        return Fault(key, Note("price"))
    if mode is None:
        return Fault(key, Note("mode"))
    starts_at, ends_at = _day(row, "Start_Date", time(9)), _day(row, "End_Date", time(17))
    notes: list[Note] = []
    if starts_at is None or ends_at is None:
        starts_at = ends_at = None
        notes.append(Note("undated"))
    elif ends_at < starts_at:
        return Fault(key, Note("order"))
    if _text(row, "Tuition_Cost(non-USD)"):
        other = f"{_text(row, 'Tuition_Cost(non-USD)')} {_text(row, 'Currency')}"
        notes.append(Note("currency", {"other": other}))
    place = _text(row, "Location")
    return RunRow(
        key=key,
        course_key=course_key,
        price=price,
        mode=mode,
        place="" if place in {"N/A", "Online", "Blended"} else place,
        zone=NEW_YORK.key,
        starts_at=starts_at,
        ends_at=ends_at,
        notes=tuple(notes),
    )


def _price(text: str, currency: str) -> Money | None:
    try:
        price = Money.parse(str(Decimal(text).quantize(Decimal("0.01"))), currency)
    except (InvalidOperation, MoneyError):
        return None
    return price if price.minor >= 0 else None


def _day(row: dict[str, Any], name: str, at: time) -> datetime | None:
    return day_at(_text(row, name), at, NEW_YORK)


def day_at(text: str, at: time, zone: ZoneInfo) -> datetime | None:
    """The moment of a day as a table writes it; None for what is no day of our time."""
    try:
        day = datetime.fromisoformat(text).date()
    except ValueError:
        return None
    return datetime.combine(day, at, zone).astimezone(UTC) if day.year in YEARS else None


SLOAN = "MIT Sloan Executive Education"
NEW_YORK = ZoneInfo("America/New_York")
MAPPINGS = {
    "icourse163": Mapping(
        "icourse163",
        _icourse163,
        frozenset({"课程链接", "课程名称", "开课单位", "课程分类"}),
        lazy("Courses of China University MOOC (CSV)"),
    ),
    "mit-sloan-courses": Mapping(
        "mit-sloan", _sloan_course, frozenset({"Course_Id", "Title"}), lazy("Courses of MIT Sloan (JSON)")
    ),
    "mit-sloan-runs": Mapping(
        "mit-sloan",
        _sloan_run,
        frozenset({"Course_Id", "CO_Title", "Price", "Delivery"}),
        lazy("Runs of MIT Sloan (JSON)"),
    ),
}
