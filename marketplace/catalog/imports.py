"""Catalogues of others, taken in: every row is accepted, changed, left alone or refused with a reason.

A row is known by its source's key, so a file sent again changes nothing. Work is a job; each batch is a transaction
that also records what became of its rows, so a killed worker goes on where it stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select

from marketplace.accounts.models import Organisation
from marketplace.catalog import search
from marketplace.catalog.import_models import CatalogueImport, ImportedRow, ImportMapping
from marketplace.catalog.import_rules import (
    LARGEST_FILE,
    MAPPINGS,
    OPENS_BEFORE,
    CourseRow,
    Fault,
    Mapping,
    Note,
    Parsed,
    RunRow,
    parse,
    table,
)
from marketplace.catalog.mapping_rules import OWN, Plan, check, mapping_of, samples
from marketplace.catalog.models import (
    Category,
    Course,
    CourseProvider,
    CourseRun,
    CourseSkill,
    CourseState,
    RunState,
)
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from marketplace.accounts.models import Person

BATCH = 100
Outcome = tuple[str, tuple[Note, ...]]


def begin(
    mapping: str, content: bytes, *, file_name: str, is_dry_run: bool, person_id: int | None, now: datetime
) -> CatalogueImport:
    """Accept a file and enqueue the work; raises Invalid when it is no file of this mapping."""
    if mapping not in MAPPINGS and mapping != OWN:
        raise Invalid("import_mapping", lazy("Choose what kind of file this is."))
    if len(content) > LARGEST_FILE:
        raise Invalid("import_too_large", lazy("That file is too large: 16 MB at most."))
    rows: Sequence[Any] = table(content) if mapping == OWN else parse(MAPPINGS[mapping], content)
    if not rows:
        raise Invalid("import_empty", lazy("The file has no rows."))
    with transaction():
        made = add(
            CatalogueImport(
                mapping=mapping,
                columns={} if mapping == OWN else None,
                file_name=file_name[:200],
                content=content,
                is_dry_run=is_dry_run,
                person_id=person_id,
                rows_in_all=len(rows),
                created_at=now,
                finished_at=None,
            )
        )
        if mapping != OWN:
            jobs.enqueue(take_in, import_id=made.id)
    return made


def map_columns(import_id: int, plan: Plan, *, is_dry_run: bool, actor: Person, now: datetime) -> None:
    """Say which column is which field, remember it for the source's next file, and begin. Locks the import."""
    with transaction():
        work = locked(CatalogueImport, import_id)
        if work.mapping != OWN or work.columns:
            raise Refused("import_begun", lazy("This file is being taken in already."))
        check(plan, list(columns_of(work)))
        work.columns, work.is_dry_run = plan.kept(), is_dry_run
        db.session.merge(
            ImportMapping(source=plan.source, kind=plan.kind, columns=plan.kept(), saved_at=now, saved_by_id=actor.id)
        )
        jobs.enqueue(take_in, import_id=work.id)


def again(import_id: int, *, actor: Person, now: datetime) -> CatalogueImport:
    """Take in for good what a dry run told about, with the same file and columns."""
    tried = db.session.get_one(CatalogueImport, import_id)
    if not tried.is_dry_run or tried.finished_at is None:
        raise Refused("no_dry_run", lazy("Only a dry run that is over can be taken in for good."))
    with transaction():
        names = ("mapping", "columns", "file_name", "content", "rows_in_all")
        given = {name: getattr(tried, name) for name in names}
        made = add(CatalogueImport(is_dry_run=False, person_id=actor.id, created_at=now, finished_at=None, **given))
        jobs.enqueue(take_in, import_id=made.id)
    return made


def columns_of(work: CatalogueImport) -> dict[str, list[str]]:
    """The columns of a file with their first values."""
    return samples(table(work.content))


def find_plan(columns: Iterable[str]) -> Plan | None:
    """The newest saved plan whose columns the file all has."""
    have = set(columns)
    for saved in db.session.scalars(select(ImportMapping).order_by(ImportMapping.saved_at.desc())):
        if set(saved.columns["columns"].values()) <= have:
            return Plan(**saved.columns)
    return None


def _mapping(work: CatalogueImport) -> Mapping:
    return mapping_of(Plan(**work.columns)) if work.columns else MAPPINGS[work.mapping]


@jobs.task(name="catalog.take_in")
def take_in(import_id: int) -> None:
    """Work through an import from where it stands."""
    found = db.session.get_one(CatalogueImport, import_id)
    rows = parse(_mapping(found), found.content)
    db.session.rollback()
    while not _take_batch(import_id, rows, now=clock.now()):
        db.session.expunge_all()


def _take_batch(import_id: int, rows: Sequence[Parsed], *, now: datetime) -> bool:
    """Take in the next rows in one transaction; whether the import is finished. Locks the import."""
    with transaction():
        work = locked(CatalogueImport, import_id)
        batch = rows[work.rows_done : work.rows_done + BATCH]
        first = work.rows_done + 1
        outcomes = _tried(work, batch, now=now) if work.is_dry_run else _taken(work, batch, now=now)
        for number, (row, (outcome, notes)) in enumerate(zip(batch, outcomes, strict=True), start=first):
            told = [[note.code, note.values] for note in notes]
            db.session.add(ImportedRow(import_id=work.id, number=number, key=row.key, outcome=outcome, notes=told))
        work.rows_done += len(batch)
        if work.rows_done == work.rows_in_all:
            work.finished_at = work.finished_at or now
        return work.finished_at is not None


def _tried(work: CatalogueImport, batch: Sequence[Parsed], *, now: datetime) -> list[Outcome]:
    nested = db.session.begin_nested()
    try:
        return _taken(work, batch, now=now)
    finally:
        nested.rollback()


def _taken(work: CatalogueImport, batch: Sequence[Parsed], *, now: datetime) -> list[Outcome]:
    source = _mapping(work).source
    return [_take(source, row, now=now) for row in batch]


def _take(source: str, row: Parsed, *, now: datetime) -> Outcome:
    if isinstance(row, Fault):
        return "refused", (row.note,)
    return _take_course(source, row, now=now) if isinstance(row, CourseRow) else _take_run(source, row, now=now)


def _take_course(source: str, row: CourseRow, *, now: datetime) -> Outcome:
    category = _find_category(row.category)
    notes = row.notes
    if row.category and category is None:
        notes = (*notes, Note("category", {"category": row.category}))
    values = {
        "title_zh": row.title_zh,
        "title_en": row.title_en,
        "description_zh": row.description_zh,
        "description_en": row.description_en,
        "category_id": category.id if category else None,
        "source_url": row.url or None,
    }
    course = find_course(source, row.key)
    if course is not None:
        if not _change(course, values):
            return "unchanged", notes
        search.index_course(course, now=now)
        return "changed", notes
    provider = _provider(row.provider)
    course = add(Course(source=source, source_key=row.key, state=CourseState.PUBLISHED, published_at=now, **values))
    course.providers.append(CourseProvider(organisation_id=provider.id, organisation=provider))
    # Free text stays free text until somebody maps it to a skill of a framework.
    course.skills.extend(CourseSkill(free_text=topic) for topic in row.topics)
    db.session.flush()
    search.index_course(course, now=now)
    return "accepted", notes


def _take_run(source: str, row: RunRow, *, now: datetime) -> Outcome:
    course = find_course(source, row.course_key)
    if course is None:
        return "refused", (Note("orphan", {"course": row.course_key}),)
    values: dict[str, Any] = {
        "state": RunState.SCHEDULED if row.starts_at else RunState.DRAFT,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "enrol_opens_at": row.starts_at - OPENS_BEFORE if row.starts_at else None,
        "enrol_closes_at": row.starts_at,
        "zone": row.zone,
        "mode": row.mode,
        "place_en": row.place,
        "language": row.language,
        "price_minor": row.price.minor,
        "currency": row.price.currency,
        "capacity": row.capacity,
    }
    query = select(CourseRun).where(CourseRun.source == source, CourseRun.source_key == row.key)
    run = db.session.scalar(query.with_for_update(key_share=True))
    if run is None:
        db.session.add(CourseRun(course=course, source=source, source_key=row.key, **values))
        db.session.flush()
        search.index_course(course, now=now)
        return "accepted", row.notes
    # The provider may have set the number of seats since: the source says nothing about it.
    del values["capacity"]
    if not _change(run, values):
        return "unchanged", row.notes
    search.index_course(course, now=now)
    return "changed", row.notes


def _change(row: Course | CourseRun, values: dict[str, Any]) -> bool:
    """Set what differs; whether anything did."""
    different = {name: value for name, value in values.items() if getattr(row, name) != value}
    for name, value in different.items():
        setattr(row, name, value)
    db.session.flush()
    return bool(different)


def _provider(name: str) -> Organisation:
    query = select(Organisation).where(or_(Organisation.name_zh == name, Organisation.name_en == name)).limit(1)
    found = db.session.scalar(query)
    if found is not None:
        return found
    names = {"name_en": name} if name.isascii() else {"name_zh": name}
    return add(Organisation(kind="university", country="US" if name.isascii() else "CN", **names))


def _find_category(name: str) -> Category | None:
    if not name:
        return None
    query = select(Category).where(or_(Category.code == name, Category.name_zh == name, Category.name_en == name))
    return db.session.scalar(query.limit(1))


def find_course(source: str, key: str) -> Course | None:
    """The course that a source knows by this key."""
    return db.session.scalar(select(Course).where(Course.source == source, Course.source_key == key))


def get(public_id: str) -> CatalogueImport:
    """One import; raises NotFound."""
    found = db.session.scalar(select(CatalogueImport).where(CatalogueImport.public_id == public_id))
    if found is None:
        raise NotFound
    return found


def list_recent(limit: int = 30) -> Sequence[CatalogueImport]:
    """The newest imports first."""
    return db.session.scalars(select(CatalogueImport).order_by(CatalogueImport.id.desc()).limit(limit)).all()


def count_outcomes(import_id: int) -> dict[str, int]:
    """How many rows came to what."""
    query = (
        select(ImportedRow.outcome, func.count())
        .where(ImportedRow.import_id == import_id)
        .group_by(ImportedRow.outcome)
    )
    return {row.outcome: row[1] for row in db.session.execute(query)}


def list_rows(import_id: int, *, told_only: bool = False, limit: int | None = None) -> list[ImportedRow]:
    """The rows in the file's order; `told_only`: those about which there is something to say."""
    query = select(ImportedRow).where(ImportedRow.import_id == import_id).order_by(ImportedRow.number).limit(limit)
    if told_only:
        query = query.where(func.jsonb_array_length(ImportedRow.notes) > 0)
    return list(db.session.scalars(query))


def notes_of(row: ImportedRow) -> list[str]:
    """What is to be said about a row, in the reader's language."""
    return [str(Note(code, values)) for code, values in row.notes]
