"""Attendance from a spreadsheet: every row is checked by itself, the good ones are written, the others come back."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy
from marketplace.participation import registers, rosters, rules
from marketplace.participation.registers import Mark

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.catalog.models import CourseRun, Session
    from marketplace.enrolment.models import Enrolment
    from marketplace.foundation.i18n import LazyString

COLUMNS = ("email", "session", "status", "reason")
LARGEST_FILE = 2_000_000
MOST_ROWS = 20_000
# What people write in spreadsheets; compared in lower case.
STATUSES = {
    **dict.fromkeys(("present", "p", "1", "yes", "y", "出勤", "到", "是"), rules.Status.PRESENT),
    **dict.fromkeys(("absent", "a", "0", "no", "n", "缺勤", "缺", "否"), rules.Status.ABSENT),
    **dict.fromkeys(("excused", "e", "请假", "假"), rules.Status.EXCUSED),
}


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row (counted from 2, as a spreadsheet does); `refusal` is None for an accepted one."""

    number: int
    email: str
    session: str
    status: str
    refusal: str | LazyString | None


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    session: Session
    enrolment: Enrolment
    mark: Mark


def upload(run: CourseRun, content: bytes, *, actor_id: int, now: datetime) -> list[RowResult]:
    """Write the acceptable rows of a CSV file and tell of every row. Raises Invalid when it is no such file.

    A row with the mark a person already has is accepted and writes nothing, so a file can be sent again.
    """
    results: list[RowResult] = []
    sessions = {str(session.position): session for session in run.sessions}
    people = {enrolment.person.email: enrolment for enrolment in rosters.list_people(run.id)}
    seen: set[tuple[int, int]] = set()
    for number, values in enumerate(read_rows(content), start=2):
        refusal: str | LazyString | None = None
        try:
            row = _understand(number, values, sessions, people)
            _refuse_repetition(row, seen)
            marks = {row.enrolment.public_id: row.mark}
            registers.mark(row.session.id, marks, actor_id=actor_id, now=now, source="upload")
        except Refused as refused:
            refusal = refused.message
        results.append(RowResult(number, values["email"], values["session"], values["status"], refusal))
    return results


def read_rows(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file in UTF-8 or, as older Chinese Excel writes it, GB 18030; raises Invalid."""
    if len(content) > LARGEST_FILE:
        raise Invalid("file_too_large", lazy("The file is larger than 2 MB."))
    reader = csv.DictReader(io.StringIO(_decode(content)))
    names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
    missing = [column for column in COLUMNS[:3] if column not in names]
    if missing:
        raise Invalid("columns_missing", lazy("The file lacks these columns: %(names)s.", names=", ".join(missing)))
    rows = []
    for values in reader:
        rows.append({column: (values.get(names.get(column, column)) or "").strip() for column in COLUMNS})
        if len(rows) > MOST_ROWS:
            raise Invalid("too_many_rows", lazy("The file has more than %(count)s rows.", count=MOST_ROWS))
    return rows


def _decode(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Invalid("not_text", lazy("The file is not a CSV text. Save it as CSV (UTF-8) and send it again."))


def _understand(
    number: int, values: dict[str, str], sessions: dict[str, Session], people: dict[str, Enrolment]
) -> _Row:
    enrolment = people.get(values["email"].lower())
    if enrolment is None:
        raise Invalid("not_on_roster", lazy("Nobody with this e-mail address is on the roster."))
    session = sessions.get(values["session"])
    if session is None:
        raise Invalid("no_session", lazy("The run has no session with this number."))
    status = STATUSES.get(values["status"].lower())
    if status is None:
        raise Invalid("unknown_status", lazy("Choose present, absent or excused."))
    return _Row(number, session, enrolment, Mark(status, values["reason"]))


def _refuse_repetition(row: _Row, seen: set[tuple[int, int]]) -> None:
    pair = (row.session.id, row.enrolment.id)
    if pair in seen:
        raise Invalid("repeated", lazy("An earlier row of this file is about the same person and session."))
    seen.add(pair)
