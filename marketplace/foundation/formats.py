"""Dates, numbers and money as the reader's language writes them; each value is written once per process and kept.

CLDR's patterns cost more than all the rest of a card, and a catalogue shows the same few hundred days and prices.
"""

# ruff: noqa: FBT001, FBT002 - filters of templates take their arguments in place, as Flask-Babel's do

from __future__ import annotations

from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from babel import dates, numbers
from flask import g
from flask_babel import get_timezone

from marketplace.foundation.i18n import BABEL_LOCALES, language
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from decimal import Decimal

KEPT = 8192


def babel_locale() -> str:
    """Babel's name of the language spoken here."""
    return BABEL_LOCALES[language()]


def format_money(amount: Money) -> str:
    """An amount as the reader's language writes it."""
    return _money(amount, babel_locale())


def format_date(value: date, pattern: str = "medium", rebase: bool = True) -> str:
    """A day; a moment is told in the reader's zone, or with `rebase=False` in its own."""
    local = _wall_clock(value, rebase=rebase) if isinstance(value, datetime) else value
    return _date(local.date() if isinstance(local, datetime) else local, pattern, babel_locale())


def format_time(value: datetime, pattern: str = "medium", rebase: bool = True) -> str:
    """A time of day, in the reader's zone, or with `rebase=False` in the moment's own."""
    return _time(_wall_clock(value, rebase=rebase).time(), pattern, babel_locale())


def format_datetime(value: datetime, pattern: str = "medium", rebase: bool = True) -> str:
    """Day and time to the minute, in the reader's zone, or with `rebase=False` in the moment's own.

    The pattern is that of the day. Seconds are told with the pattern "exact" alone.
    """
    return _datetime(_wall_clock(value, rebase=rebase), pattern, babel_locale())


def format_month(value: date) -> str:
    """A month of a year: 2026年12月, Dec 2026."""
    return _month(value, babel_locale())


def in_reader_zone(moment: datetime) -> datetime | None:
    """A moment in the zone of the reader's account, when clocks there show another time than its own."""
    zone = g.get("person_zone")
    if not zone:
        return None
    local = moment.astimezone(ZoneInfo(zone))
    return None if local.utcoffset() == moment.utcoffset() else local


def format_decimal(value: int | Decimal, pattern: str | None = None) -> str:
    """A number with the language's separators."""
    return numbers.format_decimal(value, format=pattern, locale=babel_locale())


def format_percent(value: float | Decimal, pattern: str | None = None) -> str:
    """A share of one as a percentage."""
    return numbers.format_percent(value, format=pattern, locale=babel_locale())


def _wall_clock(value: datetime, *, rebase: bool) -> datetime:
    """What a clock on the wall shows, without its zone: aware moments of two zones are equal, their days may differ."""
    if rebase and value.tzinfo is not None:
        value = value.astimezone(get_timezone())
    return value.replace(tzinfo=None)


@lru_cache(KEPT)
def _money(amount: Money, locale: str) -> str:
    return amount.format(locale)


@lru_cache(KEPT)
def _date(value: date, pattern: str, locale: str) -> str:
    return dates.format_date(value, pattern, locale=locale)


@lru_cache(KEPT)
def _time(value: time, pattern: str, locale: str) -> str:
    return dates.format_time(value, pattern, locale=locale)


@lru_cache(KEPT)
def _datetime(value: datetime, pattern: str, locale: str) -> str:
    if pattern == "exact":
        return dates.format_datetime(value, "medium", locale=locale)
    # CLDR's longer patterns of time tell seconds and a zone, which a clock on the wall has not.
    joined = str(dates.get_datetime_format(cast("Any", pattern), locale=locale))
    day, minute = dates.format_date(value, pattern, locale=locale), dates.format_time(value, "short", locale=locale)
    return joined.replace("'", "").replace("{0}", minute).replace("{1}", day)


@lru_cache(KEPT)
def _month(value: date, locale: str) -> str:
    return dates.format_skeleton("yMMM", value, locale=locale)
