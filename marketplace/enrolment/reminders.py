"""Reminders two days before a run begins, with its sessions for the calendar."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from flask import current_app
from sqlalchemy import BigInteger, Text, cast, exists, extract, literal, select
from sqlalchemy.orm import joinedload

from marketplace.accounts import letters, mail_preferences
from marketplace.accounts.models import MailOptOut, Person
from marketplace.catalog import calendars
from marketplace.catalog.models import CourseRun, RunState
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.i18n import pick, speaking
from marketplace.foundation.mail import OutgoingMail

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Exists

log = structlog.get_logger("reminders")

AHEAD = timedelta(days=2)
BATCH = 500
MESSAGE = "enrolment/reminder"


@jobs.periodic(cron="*/15 * * * *", name="enrolment.remind", queue="mail")
def remind() -> None:
    """Every quarter of an hour: remind everyone whose run begins within AHEAD and who was not reminded yet."""
    written = remind_all(now=clock.now())
    if written:
        log.info("reminders written", reminders=written)


def remind_all(*, now: datetime) -> int:
    """Write the reminders that are due, each in a transaction of its own; returns how many.

    A run that was moved is reminded of again: its start is part of the key.
    """
    query = (
        select(Enrolment)
        .join(Enrolment.run)
        .join(Enrolment.person)
        .where(
            CourseRun.state == RunState.SCHEDULED,
            CourseRun.starts_at > now,
            CourseRun.starts_at <= now + AHEAD,
            Enrolment.ended_at.is_(None),
            Enrolment.suspended_at.is_(None),
            Person.active,
            ~_is_reminded(),
            ~exists().where(MailOptOut.person_id == Person.id, MailOptOut.kind == mail_preferences.REMINDER),
        )
        .options(
            joinedload(Enrolment.run).joinedload(CourseRun.course),
            joinedload(Enrolment.run).selectinload(CourseRun.sessions),
            joinedload(Enrolment.person),
        )
        .order_by(Enrolment.id)
        .limit(BATCH)
    )
    return sum(_remind(enrolment) for enrolment in db.session.scalars(query).all())


def _is_reminded() -> Exists:
    start = cast(cast(extract("epoch", CourseRun.starts_at), BigInteger), Text)
    key = literal("reminder:") + Enrolment.public_id + ":" + start
    return exists().where(
        OutgoingMail.message == MESSAGE, OutgoingMail.recipient == Person.email, OutgoingMail.key == key
    )


def _remind(enrolment: Enrolment) -> bool:
    run, person = enrolment.run, enrolment.person
    if run.starts_at is None:
        return False
    with transaction():
        written = letters.write(
            person,
            MESSAGE,
            key=f"reminder:{enrolment.public_id}:{int(run.starts_at.timestamp())}",
            kind=mail_preferences.REMINDER,
            calendar=calendar_for(person, run),
            run=run,
        )
    return written is not None


def calendar_for(person: Person, run: CourseRun) -> str:
    """The sessions of a run as iCalendar, in the person's language."""
    with speaking(person.locale):
        name = str(pick(run.course, "title"))
        written = calendars.calendar_of([run], address_of=_address, name=name)
    return written.decode()


def _address(run: CourseRun) -> str:
    return f"{current_app.config['SETTINGS'].public_url}/courses/{run.course.public_id}"
