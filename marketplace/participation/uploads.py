"""Attendance from a spreadsheet: a job checks every row by itself, writes the good ones and says why not of the others.

A row with the mark a person already has is accepted and writes nothing, so a file can be sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.orm import undefer

from marketplace.catalog.models import CourseRun
from marketplace.foundation import clock, csv_files, jobs
from marketplace.foundation.database import add, db, locked, savepoint, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import LANGUAGES, lazy, speaking
from marketplace.foundation.spreadsheets import unguarded
from marketplace.participation import registers, rosters, rules
from marketplace.participation.registers import Mark
from marketplace.participation.upload_models import AttendanceUpload, AttendanceUploadRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.catalog.models import Session
    from marketplace.enrolment.models import Enrolment

COLUMNS = ("email", "session", "status", "reason")
LARGEST_FILE = 2_000_000
MOST_ROWS = 20_000
# As a spreadsheet counts, below its row of names.
FIRST_ROW = 2
# What people write in spreadsheets; compared in lower case.
STATUSES = {
    **dict.fromkeys(("present", "p", "1", "yes", "y", "出勤", "到", "是"), rules.Status.PRESENT),
    **dict.fromkeys(("absent", "a", "0", "no", "n", "缺勤", "缺", "否"), rules.Status.ABSENT),
    **dict.fromkeys(("excused", "e", "请假", "假"), rules.Status.EXCUSED),
}


BATCH = 500
KEEP_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    session: Session
    enrolment: Enrolment
    mark: Mark


def begin(run_id: int, content: bytes, *, file_name: str, actor_id: int, now: datetime) -> AttendanceUpload:
    """Keep a CSV file of marks and let a job take it in. Raises Invalid when it is no such file."""
    rows = read_rows(content)
    with transaction():
        upload = add(
            AttendanceUpload(
                run_id=run_id,
                person_id=actor_id,
                file_name=file_name[:200],
                content=content,
                rows_in_all=len(rows),
                created_at=now,
            )
        )
        jobs.enqueue(take_in, upload_id=upload.id)
    return upload


@jobs.task(name="participation.take_in")
def take_in(upload_id: int) -> None:
    """Work through a file from where it stands; safe to repeat."""
    upload = db.session.get_one(AttendanceUpload, upload_id, options=[undefer(AttendanceUpload.content)])
    rows = read_rows(upload.content) if upload.finished_at is None else []
    db.session.rollback()
    while not _take_batch(upload_id, rows, now=clock.now()):
        db.session.expunge_all()


def _take_batch(upload_id: int, rows: list[dict[str, str]], *, now: datetime) -> bool:
    """Take in the next rows in one transaction; whether the file is finished. Locks the upload, then sessions."""
    with transaction():
        upload = locked(AttendanceUpload, upload_id)
        if upload.finished_at is not None:
            return True
        done = upload.rows_done
        batch = list(enumerate(rows[done : done + BATCH], start=done + FIRST_ROW))
        refusals = _take(upload, batch, earlier=rows[:done], now=now)
        for number, values in batch:
            db.session.add(_told(upload, number, values, refusals.get(number)))
        upload.rows_done += len(batch)
        if upload.rows_done == upload.rows_in_all:
            upload.finished_at = now
            # The file names people; its rows are kept for KEEP_FOR, so that the report can be read.
            upload.content = b""
        return upload.finished_at is not None


Refusals = dict[int, Refused]


def _take(
    upload: AttendanceUpload, batch: list[tuple[int, dict[str, str]]], *, earlier: list[dict[str, str]], now: datetime
) -> Refusals:
    """Write the acceptable rows; the refusals of the others by their number."""
    run = db.session.get_one(CourseRun, upload.run_id)
    sessions = {str(session.position): session for session in run.sessions}
    people = {enrolment.person.email: enrolment for enrolment in rosters.list_people(run.id)}
    seen = {(values["session"], values["email"].lower()) for values in earlier}
    by_session: dict[int, list[_Row]] = {}
    refusals: Refusals = {}
    for number, values in batch:
        try:
            row = _understand(number, values, sessions, people)
            _refuse_repetition(values, seen)
        except Refused as refused:
            refusals[number] = refused
        else:
            by_session.setdefault(row.session.id, []).append(row)
    for session_id, rows in sorted(by_session.items()):
        refusals |= _mark(session_id, rows, actor_id=upload.person_id, now=now)
    return refusals


def _mark(session_id: int, rows: list[_Row], *, actor_id: int | None, now: datetime) -> Refusals:
    """The marks of one session at once; where one of them is refused, each by itself."""
    try:
        with savepoint():
            marks = {row.enrolment.public_id: row.mark for row in rows}
            registers.mark(session_id, marks, actor_id=actor_id, now=now, source="upload")
    except Refused as refused:
        if len(rows) == 1:
            return {rows[0].number: refused}
        refusals: Refusals = {}
        for row in rows:
            refusals |= _mark(session_id, [row], actor_id=actor_id, now=now)
        return refusals
    return {}


def _told(
    upload: AttendanceUpload, number: int, values: dict[str, str], refusal: Refused | None
) -> AttendanceUploadRow:
    told = {}
    for spoken in LANGUAGES if refusal is not None else ():
        with speaking(spoken):
            told[spoken] = str(refusal.message)  # type: ignore[union-attr]  # there is one in this loop
    shown = {name: values[name] for name in ("email", "session", "status")}
    return AttendanceUploadRow(upload_id=upload.id, number=number, refusal=told or None, **shown)


def get(public_id: str) -> AttendanceUpload:
    """One upload with its run; raises NotFound."""
    query = select(AttendanceUpload).filter_by(public_id=public_id)
    upload = db.session.scalars(query).one_or_none()
    if upload is None:
        raise NotFound
    return upload


def list_refused(upload_id: int) -> Sequence[AttendanceUploadRow]:
    """The rows that were not taken, in the file's order."""
    query = select(AttendanceUploadRow).where(
        AttendanceUploadRow.upload_id == upload_id, AttendanceUploadRow.refusal.is_not(None)
    )
    return db.session.scalars(query.order_by(AttendanceUploadRow.number)).all()


def count_refused(upload_id: int) -> int:
    """How many rows were not taken."""
    query = select(func.count()).where(
        AttendanceUploadRow.upload_id == upload_id, AttendanceUploadRow.refusal.is_not(None)
    )
    return int(db.session.scalar(query) or 0)


@jobs.periodic(cron="41 3 * * *", name="participation.forget_uploads")
def forget_old() -> None:
    """Every night: the rows of old uploads name people and are of no use any more; the marks they made stay."""
    forget_uploads(now=clock.now())


def forget_uploads(*, now: datetime) -> int:
    """Delete the rows of uploads older than KEEP_FOR; how many."""
    with transaction():
        old = select(AttendanceUpload.id).where(AttendanceUpload.created_at <= now - KEEP_FOR)
        gone = delete(AttendanceUploadRow).where(AttendanceUploadRow.upload_id.in_(old))
        return db.session.execute(gone).rowcount  # type: ignore[attr-defined,no-any-return]


def read_rows(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file in UTF-8 or, as older Chinese Excel writes it, GB 18030; raises Invalid."""
    if len(content) > LARGEST_FILE:
        raise Invalid("file_too_large", lazy("The file is larger than 2 MB."))
    found, lines = csv_files.table_of(content)
    names = {name.strip().lower(): name for name in found}
    missing = [column for column in COLUMNS[:3] if column not in names]
    if missing:
        raise Invalid("columns_missing", lazy("The file lacks these columns: %(names)s.", names=", ".join(missing)))
    if len(lines) > MOST_ROWS:
        raise Invalid("too_many_rows", lazy("The file has more than %(count)s rows.", count=MOST_ROWS))
    read = [{column: values.get(names.get(column, column), "").strip() for column in COLUMNS} for values in lines]
    return [row | {"email": unguarded(row["email"])} for row in read]


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


def _refuse_repetition(values: dict[str, str], seen: set[tuple[str, str]]) -> None:
    pair = (values["session"], values["email"].lower())
    if pair in seen:
        raise Invalid("repeated", lazy("An earlier row of this file is about the same person and session."))
    seen.add(pair)
