"""Rosters as spreadsheets; cells that a spreadsheet would take for a formula are made harmless."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.spreadsheets import harmless
from marketplace.participation.uploads import COLUMNS

if TYPE_CHECKING:
    from marketplace.catalog.models import CourseRun
    from marketplace.participation.rosters import RosterLine


def roster(run: CourseRun, lines: list[RosterLine]) -> str:
    """One row per person and session: the columns an upload reads, the person's name and whether they are suspended."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*COLUMNS, _("Name"), _("State")])
    for line in lines:
        for session, mark in zip(run.sessions, line.marks, strict=True):
            person, state = line.enrolment.person, _("Suspended") if line.enrolment.is_suspended else ""
            writer.writerow([harmless(person.email), session.position, mark or "", "", harmless(person.name), state])
    return out.getvalue()
