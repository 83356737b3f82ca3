"""Rosters as spreadsheets; cells that a spreadsheet would take for a formula are made harmless."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from marketplace.foundation.i18n import gettext as _
from marketplace.participation.uploads import COLUMNS

if TYPE_CHECKING:
    from marketplace.catalog.models import CourseRun
    from marketplace.participation.rosters import RosterLine

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would calculate."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def roster(run: CourseRun, lines: list[RosterLine]) -> str:
    """One row per person and session, with the columns an upload reads and the person's name."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*COLUMNS, _("Name")])
    for line in lines:
        for session, mark in zip(run.sessions, line.marks, strict=True):
            person = line.enrolment.person
            writer.writerow([harmless(person.email), session.position, mark or "", "", harmless(person.name)])
    return out.getvalue()
