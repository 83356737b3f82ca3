"""Takes the rows of a foreign catalogue in: once by the source's key, with a report of what became of each row.

A second import of the same file changes nothing; a changed row changes its own course or run, in the fields that the
source speaks of.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from marketplace.accounts.models import Organisation
from marketplace.catalog import search
from marketplace.catalog.import_readers import READERS, Faulty
from marketplace.catalog.import_rules import (
    ACCEPTED,
    CHANGED,
    REFUSED,
    UNCHANGED,
    CourseRow,
    RunRow,
    category_code,
    window_of,
)
from marketplace.catalog.models import Category, Course, CourseProvider, CourseRun, ImportBatch, ImportRow
from marketplace.foundation.database import add, db, savepoint, transaction
from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@dataclass
class Report:
    """What became of each row, in the order of the files."""

    rows: list[ImportRow] = field(default_factory=list)

    def note(self, row: CourseRow | RunRow | Faulty, outcome: str, reasons: Sequence[str] = ()) -> None:
        """Write one line."""
        kind = row.kind if isinstance(row, Faulty) else "course" if isinstance(row, CourseRow) else "run"
        self.rows.append(ImportRow(line=row.line, kind=kind, key=row.key, outcome=outcome, reasons=list(reasons)))

    @property
    def counts(self) -> dict[str, int]:
        """How many rows came to which end, as "course:accepted"."""
        return dict(Counter(f"{row.kind}:{row.outcome}" for row in self.rows))


class _DryRun(Exception):
    """Undoes what a dry run has written."""


def import_catalogue(
    source: str, contents: Sequence[bytes], *, capacity: int | None, is_dry_run: bool, now: datetime
) -> ImportBatch:
    """Import the files of a source in one transaction; the stored batch with its report.

    `capacity` seats make dated runs sellable; without it they stay drafts, since no source says how many there are.
    A dry run keeps the report alone. Raises Invalid for an unknown source, FileFault for a file that is not its own.
    """
    if source not in READERS:
        raise Invalid("source_unknown", lazy("This catalogue is not known."))
    taking = _Taking(source, capacity, now)
    with transaction():
        try:
            with savepoint():
                taking.take_all(contents)
                if is_dry_run:
                    taking.undo()
        except _DryRun:
            db.session.expire_all()
        batch = add(ImportBatch(source=source, is_dry_run=is_dry_run, imported_at=now, counts=taking.report.counts))
        for line in taking.report.rows:
            line.batch_id = batch.id
        db.session.add_all(taking.report.rows)
    return batch


class _Taking:
    """One import under way: what is there already, what was seen in this file."""

    def __init__(self, source: str, capacity: int | None, now: datetime) -> None:
        self.source, self.capacity, self.now = source, capacity, now
        self.report = Report()
        self.courses = {row.source_key: row for row in db.session.scalars(select(Course).filter_by(source=source))}
        self.runs = {row.source_key: row for row in db.session.scalars(select(CourseRun).filter_by(source=source))}
        self.categories = {row.name_zh: row for row in db.session.scalars(select(Category))}
        self.providers: dict[str, Organisation] = {}
        self.seen: set[tuple[str, str]] = set()
        self.titles: dict[tuple[str, str], int] = {}
        self.touched: dict[int, Course] = {}

    def take_all(self, contents: Sequence[bytes]) -> None:
        """Take every row of every file, in the order of the source's readers."""
        for read, content in zip(READERS[self.source], contents, strict=True):
            for row in read(content):
                self.take(row)
        self.index()

    def undo(self) -> None:
        """Leave the savepoint with an error, which undoes what was written in it."""
        raise _DryRun

    def take(self, row: CourseRow | RunRow | Faulty) -> None:
        """Take one row in, or say why not."""
        if isinstance(row, Faulty):
            self.report.note(row, REFUSED, [row.reason])
            return
        kind = "course" if isinstance(row, CourseRow) else "run"
        if (kind, row.key) in self.seen:
            self.report.note(row, REFUSED, ["key_repeated"])
            return
        self.seen.add((kind, row.key))
        if isinstance(row, CourseRow):
            self._course(row)
        else:
            self._run(row)

    def _course(self, row: CourseRow) -> None:
        notes = list(row.notes)
        first_line = self.titles.setdefault((row.provider, row.title), row.line)
        if first_line != row.line:
            # Two keys, so two courses for the source; a person decides whether they are one.
            notes.append(f"same_title_as_line_{first_line}")
        category = self._category(row.category)
        wanted: dict[str, object] = {
            f"title_{row.language}": row.title,
            f"summary_{row.language}": row.summary,
            f"description_{row.language}": row.description,
            "source_url": row.url,
            "category_id": category.id if category else None,
        }
        course = self.courses.get(row.key)
        if course is None:
            self._new_course(row, wanted, category)
            self.report.note(row, ACCEPTED, notes)
            return
        changes = {name: value for name, value in wanted.items() if getattr(course, name) != value}
        for name, value in changes.items():
            setattr(course, name, value)
        if changes:
            course.category = category
            self.touched[course.id] = course
        self.report.note(row, CHANGED if changes else UNCHANGED, notes)

    def _new_course(self, row: CourseRow, wanted: dict[str, object], category: Category | None) -> None:
        provider = self._provider(row.provider, row.language)
        course = Course(source=self.source, source_key=row.key, state="published", published_at=self.now, **wanted)
        course.providers = [CourseProvider(organisation_id=provider.id, organisation=provider)]
        course.category = category
        self.courses[row.key] = add(course)
        self.touched[course.id] = course

    def _run(self, row: RunRow) -> None:
        course = self.courses.get(row.course_key)
        if course is None:
            self.report.note(row, REFUSED, ["course_unknown"])
            return
        wanted: dict[str, object] = {
            "mode": row.mode,
            "place_en": row.place,
            "language": row.language,
            "zone": row.zone,
            "price_minor": row.price.minor,
            "currency": row.price.currency,
        }
        if row.first_day and row.last_day:
            names = ("starts_at", "ends_at", "enrol_opens_at", "enrol_closes_at")
            wanted |= dict(zip(names, window_of(row.first_day, row.last_day, row.zone), strict=True))
        run = self.runs.get(row.key)
        if run is None:
            is_sellable = self.capacity is not None and "starts_at" in wanted
            state = "scheduled" if is_sellable else "draft"
            made = CourseRun(source=self.source, source_key=row.key, state=state, capacity=self.capacity or 0, **wanted)
            course.runs.append(made)
            self.runs[row.key] = add(made)
            self.touched[course.id] = course
            self.report.note(row, ACCEPTED, row.notes)
            return
        changes = {name: value for name, value in wanted.items() if getattr(run, name) != value}
        for name, value in changes.items():
            setattr(run, name, value)
        self.report.note(row, CHANGED if changes else UNCHANGED, row.notes)

    def _category(self, name: str) -> Category | None:
        if not name:
            return None
        if name not in self.categories:
            last = db.session.scalar(select(func.coalesce(func.max(Category.position), 0))) or 0
            made = Category(code=category_code(name), name_zh=name, name_en=name, position=last + 1)
            self.categories[name] = add(made)
        return self.categories[name]

    def _provider(self, name: str, language: str) -> Organisation:
        if name not in self.providers:
            column = Organisation.name_zh if language == "zh" else Organisation.name_en
            found = db.session.scalars(select(Organisation).where(column == name).limit(1)).one_or_none()
            self.providers[name] = found or add(Organisation(kind="university", **{f"name_{language}": name}))
        return self.providers[name]

    def index(self) -> None:
        """Make what changed findable."""
        for course in self.touched.values():
            search.index_course(course, now=self.now)


def latest_batches(limit: int = 20) -> list[ImportBatch]:
    """The imports so far, newest first."""
    return list(db.session.scalars(select(ImportBatch).order_by(ImportBatch.id.desc()).limit(limit)))


def refused_rows(batch: ImportBatch) -> list[ImportRow]:
    """The rows of a batch that were not taken, with their reasons."""
    query = select(ImportRow).filter_by(batch_id=batch.id, outcome=REFUSED)
    return list(db.session.scalars(query.order_by(ImportRow.id)))
