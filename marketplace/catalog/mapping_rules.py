"""Any table as a catalogue: which of its columns is which field. Pure: rows are read as somebody mapped them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from marketplace.catalog.import_rules import (
    LONGEST_DESCRIPTION,
    LONGEST_TITLE,
    LOOKED_AT,
    SEATS_UNKNOWN,
    CourseRow,
    Fault,
    Mapping,
    Note,
    Parsed,
    RunRow,
    day_at,
)
from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money, MoneyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.foundation.i18n import LazyString

OWN = "own"
SOURCE = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")
SEATS = re.compile(r"\d{1,5}")
SAMPLES = 3
# What people write for how a run takes place; compared in lower case.
MODES = {
    **dict.fromkeys(("in_person", "in person", "onsite", "面授", "线下"), "in_person"),
    **dict.fromkeys(("online", "在线", "线上"), "online"),
    **dict.fromkeys(("blended", "hybrid", "混合", "线上线下结合"), "blended"),
}
LANGUAGES = {
    **dict.fromkeys(("zh", "chinese", "中文"), "zh"),
    **dict.fromkeys(("en", "english", "英文", "英语"), "en"),
    **dict.fromkeys(("both", "zh/en", "双语"), "both"),
}
FIELDS: dict[str, dict[str, LazyString]] = {
    "courses": {
        "key": lazy("Key at the source"),
        "title_zh": lazy("Title in Chinese"),
        "title_en": lazy("Title in English"),
        "provider": lazy("Provider"),
        "description_zh": lazy("Description in Chinese"),
        "description_en": lazy("Description in English"),
        "category": lazy("Field"),
        "topics": lazy("Skills, separated by commas"),
        "url": lazy("Address of its page"),
    },
    "runs": {
        "key": lazy("Key at the source"),
        "course_key": lazy("Key of its course at the source"),
        "starts": lazy("Day it starts"),
        "ends": lazy("Day it ends"),
        "price": lazy("Price of a seat"),
        "currency": lazy("Currency"),
        "mode": lazy("Where"),
        "place": lazy("Place"),
        "language": lazy("Language of teaching"),
        "seats": lazy("Seats"),
    },
}
NEEDED = {
    "courses": (("key",), ("provider",), ("title_zh", "title_en")),
    "runs": (("key",), ("course_key",), ("price",)),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How somebody maps a table: `columns` by field; zone and currency where the table does not say."""

    kind: str
    source: str
    columns: dict[str, str] = field(default_factory=dict)
    zone: str = "Asia/Shanghai"
    currency: str = "CNY"

    def kept(self) -> dict[str, Any]:
        """The plan as it is stored."""
        return {name: getattr(self, name) for name in ("kind", "source", "columns", "zone", "currency")}


def check(plan: Plan, columns: Sequence[str]) -> None:
    """Raise Invalid for a plan that lacks what every row needs, or names columns the table has not."""
    if not SOURCE.fullmatch(plan.source):
        sentence = lazy("Name the source in small letters, digits and hyphens, like example-academy.")
        raise Invalid("import_source", sentence, {"source": sentence})
    if set(plan.columns.values()) - set(columns):
        raise Invalid("import_columns", lazy("The file has no such column."))
    for choices in NEEDED[plan.kind]:
        if not any(plan.columns.get(name) for name in choices):
            sentence = lazy("Every row needs this: choose its column.")
            raise Invalid("import_needed", sentence, {f"{plan.kind}-{choices[0]}": sentence})


def mapping_of(plan: Plan) -> Mapping:
    """The plan as a mapping that `import_rules` reads files by."""
    read = _course if plan.kind == "courses" else _run
    return Mapping(plan.source, lambda row: read(plan, row), frozenset(plan.columns.values()), plan.source)


def samples(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Each column of a table with its first values, so that people see what it holds."""
    names = list(dict.fromkeys(name for row in rows[:LOOKED_AT] for name in row if name))
    return {
        name: [text for row in rows[:LOOKED_AT] if (text := _plain(row.get(name))[:80])][:SAMPLES] for name in names
    }


def _plain(value: Any) -> str:
    return " ".join(str(value if value is not None else "").split())


def _get(plan: Plan, row: dict[str, Any], name: str) -> str:
    return _plain(row.get(plan.columns.get(name, "")))


def _course(plan: Plan, row: dict[str, Any]) -> Parsed:
    key, provider = _get(plan, row, "key"), _get(plan, row, "provider")
    titles: dict[str, Any] = {name: _get(plan, row, name)[:LONGEST_TITLE] for name in ("title_zh", "title_en")}
    if not (key and provider and any(titles.values())):
        return Fault(key, Note("incomplete"))
    texts: dict[str, Any] = {
        name: str(row.get(plan.columns.get(name, "")) or "").strip()[:LONGEST_DESCRIPTION]
        for name in ("description_zh", "description_en")
    }
    topics = re.split(r"[,，;；、]", _get(plan, row, "topics"))
    return CourseRow(
        key=key,
        provider=provider,
        category=_get(plan, row, "category"),
        topics=tuple(topic.strip() for topic in topics if topic.strip()),
        url=_get(plan, row, "url"),
        **titles,
        **texts,
    )


def _run(plan: Plan, row: dict[str, Any]) -> Parsed:
    key, course_key = _get(plan, row, "key"), _get(plan, row, "course_key")
    if not (key and course_key):
        return Fault(key, Note("run_incomplete"))
    price = _price(_get(plan, row, "price"), _get(plan, row, "currency").upper() or plan.currency)
    mode = MODES.get(_get(plan, row, "mode").lower() or "in_person")
    if price is None or mode is None:
        return Fault(key, Note("price" if price is None else "mode"))
    starts = _day(_get(plan, row, "starts"), time(9), plan.zone)
    ends = _day(_get(plan, row, "ends"), time(17), plan.zone) or (_evening(starts, plan.zone) if starts else None)
    if starts and ends and ends < starts:
        return Fault(key, Note("order"))
    seats = _get(plan, row, "seats")
    return RunRow(
        key=key,
        course_key=course_key,
        price=price,
        mode=mode,
        place=_get(plan, row, "place"),
        language=LANGUAGES.get(_get(plan, row, "language").lower(), "zh"),
        zone=plan.zone,
        starts_at=starts if ends else None,
        ends_at=ends if starts else None,
        capacity=int(seats) if SEATS.fullmatch(seats) and int(seats) else SEATS_UNKNOWN,
        notes=() if starts and ends else (Note("undated"),),
    )


def _price(text: str, currency: str) -> Money | None:
    try:
        price = Money.parse(str(Decimal(text.replace(",", "")).normalize() + 0), currency)
    except (InvalidOperation, MoneyError, KeyError):
        return None
    return price if price.minor >= 0 else None


def _day(text: str, at: time, zone: str) -> datetime | None:
    return day_at(text.replace("/", "-"), at, ZoneInfo(zone))


def _evening(starts: datetime, zone: str) -> datetime:
    return datetime.combine(starts.astimezone(ZoneInfo(zone)).date(), time(17), ZoneInfo(zone)).astimezone(UTC)
