"""Pure decisions about runs: local times and their gaps, days that end, weekly series, what a run still lacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.foundation.i18n import LazyString

MOST_IN_SERIES = 60
LONGEST_SESSION = timedelta(hours=16)


@dataclass(frozen=True, slots=True)
class Meeting:
    """One session's moments."""

    starts_at: datetime
    ends_at: datetime


def moment(local: datetime, zone: str) -> datetime:
    """The moment at which a clock of the zone shows `local`; raises Invalid when it never does.

    When clocks go back an hour comes twice: the first of the two is meant.
    """
    there = local.replace(tzinfo=ZoneInfo(zone), fold=0)
    found = there.astimezone(UTC)
    if found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local:
        sentence = lazy(
            "%(time)s does not exist in %(zone)s: the clocks go forward over it that day.",
            time=local.strftime("%Y-%m-%d %H:%M"),
            zone=zone,
        )
        raise Invalid("local_time_missing", sentence)
    return found


def wall_clock(when: datetime, zone: str) -> datetime:
    """What a clock of the zone shows at a moment, without its zone: as a form field holds it."""
    return when.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def end_of(day: date, zone: str) -> datetime:
    """The moment a local day is over: a deadline includes the whole of its day."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


def last_day_before(deadline: datetime, zone: str) -> date:
    """The last local day that a deadline leaves time on."""
    return wall_clock(deadline - timedelta(microseconds=1), zone).date()


def deadline(day: date, zone: str, *, kept: datetime | None) -> datetime:
    """The end of a day; a deadline inside that day (as imports bring them) stays as exact as it is."""
    return kept if kept is not None and last_day_before(kept, zone) == day else end_of(day, zone)


def weekly(first: datetime, *, minutes: int, count: int, every: int, zone: str) -> list[Meeting]:
    """Sessions at the same local time every so many weeks, whatever clocks do between; raises Invalid in a gap."""
    if not 1 <= count <= MOST_IN_SERIES:
        raise Invalid("series_too_long", lazy("A series has between 1 and %(most)s sessions.", most=MOST_IN_SERIES))
    starts = [moment(first + timedelta(weeks=every * number), zone) for number in range(count)]
    return [Meeting(start, start + timedelta(minutes=minutes)) for start in starts]


def shifted(when: datetime | None, days: int, zone: str) -> datetime | None:
    """The same time of day so many local days later; a time that falls into a gap moves with the clocks."""
    if when is None:
        return None
    local = wall_clock(when, zone) + timedelta(days=days)
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def check_meeting(meeting: Meeting) -> None:
    """Raise Invalid for a session that ends before it starts or lasts longer than people can."""
    if not timedelta() < meeting.ends_at - meeting.starts_at <= LONGEST_SESSION:
        raise Invalid("session_length", lazy("A session ends after it starts, within 16 hours."))


def missing(
    *,
    starts_at: datetime | None,
    ends_at: datetime | None,
    has_window: bool,
    meetings: Sequence[Meeting],
    place_needed: bool,
) -> list[LazyString]:
    """What keeps a run from being scheduled, in the order of the page."""
    found = []
    if starts_at is None or ends_at is None:
        found.append(lazy("the day it starts and the day it ends"))
    if not has_window:
        found.append(lazy("when enrolment opens and its last day"))
    if place_needed:
        found.append(lazy("the place, as it does not take place online alone"))
    if not meetings:
        found.append(lazy("at least one session"))
    elif starts_at and ends_at and any(m.starts_at < starts_at or m.ends_at > ends_at for m in meetings):
        found.append(lazy("sessions that lie between its start and its end"))
    return found
