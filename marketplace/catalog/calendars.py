"""Runs as iCalendar (RFC 5545), for calendar programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.foundation import clock
from marketplace.foundation.i18n import pick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from marketplace.catalog.models import CourseRun


def calendar_of(runs: Iterable[CourseRun], *, address_of: Callable[[CourseRun], str], name: str) -> bytes:
    """One event per session, in the language spoken here; its UID stays the same when the session moves."""
    from icalendar import Calendar, Event  # noqa: PLC0415 - 8 MB of memory that most processes never need

    calendar = Calendar()
    calendar.add("prodid", "-//Yijiang Talent Courses//catalogue//")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    for run in runs:
        for session in run.sessions:
            event = Event()
            title = str(pick(run.course, "title"))
            part = str(pick(session, "title"))
            event.add("uid", f"{session.public_id}@yijiang-courses")
            event.add("summary", f"{title} – {part}" if part else title)
            event.add("dtstamp", clock.now())
            event.add("dtstart", session.starts_at)
            event.add("dtend", session.ends_at)
            event.add("location", str(pick(session, "place") or pick(run, "place")))
            event.add("url", address_of(run))
            if run.state == "cancelled":
                event.add("status", "CANCELLED")
            calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written
