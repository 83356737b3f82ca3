"""A person's own copy of what every room knows of them: a ZIP with one page to read and one file for machines."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import current_app
from sqlalchemy import delete, select
from sqlalchemy.orm import undefer

from marketplace.accounts import letters
from marketplace.accounts import personal as accounts
from marketplace.accounts.models import Person
from marketplace.enrolment import personal as enrolment
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound
from marketplace.foundation.i18n import speaking
from marketplace.funding import personal as funding
from marketplace.participation import personal as participation
from marketplace.payments import personal as payments
from marketplace.privacy.models import DataCopy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.foundation.personal_data import Section

# In the order a person reads them.
ROOMS = (accounts, enrolment, payments, funding, participation)
KEPT_FOR = timedelta(days=7)
SHEETS = ("tokens", "base", "layout", "components")


def ask(person: Person, *, now: datetime) -> DataCopy:
    """Have a copy made by a job; one that is being made or can still be fetched is given back instead."""
    with transaction():
        for made in list_recent(person.id, now=now):
            if made.finished_at is None or made.finished_at > now - timedelta(hours=1):
                return made
        asked = add(
            DataCopy(person_id=person.id, asked_at=now, finished_at=None, expires_at=now + KEPT_FOR, content=None)
        )
        jobs.enqueue(make, copy_id=asked.id)
        return asked


@jobs.task(name="privacy.make_copy")
def make(copy_id: int) -> None:
    """Gather everything, write the ZIP, and tell the person."""
    with transaction():
        copy = locked(DataCopy, copy_id)
        person = db.session.get_one(Person, copy.person_id)
        if copy.finished_at is not None or not person.active:
            return
        with speaking(person.locale):
            copy.content = write(person, made_at=clock.now())
        copy.finished_at = clock.now()
        letters.write(person, "privacy/data_ready", key=f"copy:{copy.public_id}", copy=copy)


def write(person: Person, *, made_at: datetime) -> bytes:
    """The ZIP in the language spoken here: index.html with its style sheet, and data.json."""
    sections = [section for room in ROOMS for section in room.tell(person.id)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        template = current_app.jinja_env.get_template("privacy/copy.html")
        page = template.render(person=person, sections=sections, made_at=made_at)
        archive.writestr("index.html", page)
        archive.writestr("data.json", _as_json(sections, made_at))
        for sheet in SHEETS:
            with current_app.open_resource(f"{current_app.static_folder}/css/{sheet}.css") as file:
                archive.writestr(f"{sheet}.css", file.read())
    return out.getvalue()


def _as_json(sections: Sequence[Section], made_at: datetime) -> str:
    told: dict[str, Any] = {"made_at": made_at, **{section.key: list(section.rows) for section in sections}}
    return json.dumps(told, ensure_ascii=False, indent=2, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def list_recent(person_id: int, *, now: datetime) -> Sequence[DataCopy]:
    """The person's copies that are being made or can be fetched, newest first."""
    query = select(DataCopy).where(DataCopy.person_id == person_id, DataCopy.expires_at > now)
    return db.session.scalars(query.order_by(DataCopy.id.desc())).all()


def get(public_id: str, person_id: int, *, now: datetime) -> DataCopy:
    """A person's own finished copy with its content; raises NotFound."""
    query = select(DataCopy).filter_by(public_id=public_id, person_id=person_id).where(DataCopy.expires_at > now)
    found = db.session.scalars(query.options(undefer(DataCopy.content))).one_or_none()
    if found is None or found.content is None:
        raise NotFound
    return found


def forget(person_id: int) -> None:
    """Delete the person's copies; call inside a transaction."""
    db.session.execute(delete(DataCopy).where(DataCopy.person_id == person_id))


@jobs.periodic(cron="51 3 * * *", name="privacy.sweep_copies")
def sweep() -> None:
    """Every night: delete copies nobody may fetch any more."""
    with transaction():
        db.session.execute(delete(DataCopy).where(DataCopy.expires_at <= clock.now()))
