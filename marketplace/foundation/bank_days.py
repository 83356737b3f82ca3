"""The bank's days: which day a moment is, and at which moment a movement at the bank stands in the books."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy

# The bank's days are Shanghai's, as those of the books.
ZONE = ZoneInfo("Asia/Shanghai")
NOON = time(12)
# Nobody enters a movement later than this: it is the year that was mistyped, and its books are closed.
LONGEST_AGO = timedelta(days=366)


def day_of(moment: datetime) -> date:
    """The bank's day of a moment."""
    return moment.astimezone(ZONE).date()


def moment_on(day: date, *, since: datetime | None, now: datetime) -> datetime:
    """When a movement of a day took place: at its noon, which is the day in the books wherever one looks from.

    Never before `since`, when what it is for came about, if it is for anything, and never after `now`.
    """
    noon = datetime.combine(day, NOON, ZONE)
    return min(noon if since is None else max(noon, since), now)


def check_past(day: date, field: str, *, now: datetime) -> None:
    """Raise Invalid, at the field that was filled in, for a day that has not come yet or is more than a year ago."""
    today = day_of(now)
    if day > today:
        message = lazy("The day has not come yet.")
        raise Invalid("future_day", message, {field: message})
    if day < today - LONGEST_AGO:
        message = lazy("The day is more than a year ago. Check the year.")
        raise Invalid("day_long_ago", message, {field: message})
