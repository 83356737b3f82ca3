"""Where a person is forgotten: asked for, kept after all, or carried out room by room from the top floor down."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.accounts import letters, mailed_links, passwords, people, sign_ins
from marketplace.accounts import personal as accounts
from marketplace.accounts.models import Person
from marketplace.enrolment import personal as enrolment
from marketplace.foundation import clock, jobs, mail
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy
from marketplace.funding import personal as funding
from marketplace.participation import personal as participation
from marketplace.payments import personal as payments
from marketplace.privacy import copies
from marketplace.privacy.models import Erasure, Ground

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

log = structlog.get_logger("privacy")

# From the top floor down: higher rooms still need to see whose row it was when they forget.
ROOMS = (participation, payments, enrolment, funding, accounts)
# Time to think again, and to notice that somebody else asked.
GRACE = timedelta(days=14)
PURPOSE = "delete"


def ask(person: Person, password: str, *, now: datetime) -> None:
    """Mail the link that asks for the deletion; nothing happens before it is used. Raises Invalid, Refused."""
    with transaction():
        if not passwords.matches(person, password):
            sentence = lazy("This is not your present password.")
            raise Invalid("wrong_password", sentence, {"password": sentence})
        _refuse_obstacles(person.id)
        link_key = mailed_links.draw(person, PURPOSE, person.email, now=now)
        letters.write(person, "privacy/delete_confirm", key=f"delete:{now.isoformat()}", link_key=link_key)


def confirm(key: str, *, now: datetime) -> Erasure:
    """Use the mailed link: the account is deleted after GRACE, every sign-in ends now. Raises LinkSpent, Refused."""
    with transaction():
        link = mailed_links.use(key, PURPOSE, now=now)
        person = locked(Person, link.person_id)
        return _plan(person, Ground.SELF, actor=person, due_at=now + GRACE, now=now)


def order(email: str, ground: str, *, actor: Person, is_at_once: bool, now: datetime) -> Erasure:
    """Plan it by hand of an administrator, for a letter or an authority. Raises Invalid for an unknown address."""
    person = people.find_by_email(email)
    if person is None or not person.active:
        sentence = lazy("No account has this address.")
        raise Invalid("unknown_address", sentence, {"email": sentence})
    with transaction():
        _refuse_obstacles(person.id)
        due_at = now if is_at_once else now + GRACE
        planned = _plan(person, Ground(ground), actor=actor, due_at=due_at, now=now)
        if is_at_once:
            jobs.enqueue(carry_out_due, key="privacy.carry_out")
        return planned


def _plan(person: Person, ground: Ground, *, actor: Person, due_at: datetime, now: datetime) -> Erasure:
    planned = add(
        Erasure(
            person_id=person.id,
            ground=ground,
            asked_by_id=actor.id,
            asked_at=now,
            due_at=due_at,
            cancelled_at=None,
            done_at=None,
        )
    )
    sign_ins.end_all(person, now=now)
    letters.write(person, "privacy/delete_planned", key=f"erasure:{planned.public_id}", due_at=due_at)
    return planned


def keep(person: Person, *, now: datetime) -> None:
    """The person keeps the account; raises NotFound if nothing is planned, or it is too late."""
    planned = find_planned(person.id)
    if planned is None:
        raise NotFound
    cancel(planned.public_id, now=now)


def cancel(public_id: str, *, now: datetime) -> None:
    """Take a plan back before it is carried out. Locks it; raises NotFound."""
    with transaction():
        planned_id = db.session.scalar(select(Erasure.id).filter_by(public_id=public_id))
        planned = locked(Erasure, planned_id or 0)
        if planned.done_at is not None:
            raise NotFound
        planned.cancelled_at = planned.cancelled_at or now


def find_planned(person_id: int) -> Erasure | None:
    """The person's open plan."""
    return db.session.scalars(select(Erasure).filter_by(person_id=person_id).where(_is_open())).one_or_none()


def list_recent(limit: int = 100) -> Sequence[Erasure]:
    """Plans, the latest first, for administrators."""
    query = select(Erasure).options(joinedload(Erasure.person), joinedload(Erasure.asked_by))
    return db.session.scalars(query.order_by(Erasure.id.desc()).limit(limit)).all()


def find_obstacle(person_id: int) -> Refused | None:
    """Why the person cannot be forgotten yet, from any room."""
    return next((found for room in ROOMS if (found := room.find_obstacle(person_id))), None)


def _refuse_obstacles(person_id: int) -> None:
    obstacle = find_obstacle(person_id)
    if obstacle is not None:
        raise obstacle


def _is_open() -> ColumnElement[bool]:
    return Erasure.done_at.is_(None) & Erasure.cancelled_at.is_(None)


@jobs.task(name="privacy.carry_out")
def carry_out_due() -> None:
    """Forget everyone whose time has come."""
    carry_out_all(now=clock.now())


@jobs.periodic(cron="11 * * * *", name="privacy.carry_out_all")
def carry_out_hourly() -> None:
    """Every hour the same, for plans whose grace is over and those an obstacle kept waiting."""
    carry_out_all(now=clock.now())


def carry_out_all(*, now: datetime) -> int:
    """Carry out the plans that are due, each in a transaction of its own; how many. One with an obstacle waits.

    One that fails keeps nobody else waiting: the others are carried out, then its error is raised.
    """
    due = select(Erasure.id).where(_is_open(), Erasure.due_at <= now).order_by(Erasure.due_at.desc())
    done: list[int] = []

    def carry_out(erasure_id: int) -> None:
        if _carry_out(erasure_id, now=now):
            done.append(erasure_id)

    # Whatever is raised on the way down, each of them is called; the last one put in comes first.
    with ExitStack() as stack:
        for erasure_id in db.session.scalars(due).all():
            stack.callback(carry_out, erasure_id)
    return len(done)


def _carry_out(erasure_id: int, *, now: datetime) -> bool:
    with transaction():
        planned = locked(Erasure, erasure_id)
        if planned.done_at is not None or planned.cancelled_at is not None:
            return False
        obstacle = find_obstacle(planned.person_id)
        if obstacle is not None:
            log.warning("erasure waits", erasure=planned.public_id, code=obstacle.code)
            return False
        forget(planned.person_id, now=now)
        planned.done_at = now
        log.info("erasure done", erasure=planned.public_id)
        return True


def forget(person_id: int, *, now: datetime) -> None:
    """Forget a person everywhere, at once: name and addresses are in no table afterwards. Cannot be undone.

    What stays is listed in docs/privacy.md. Locks orders and runs, then the person. The last mail leaves no row.
    """
    with transaction():
        person = db.session.get_one(Person, person_id)
        identity, locale = accounts.identity_of(person), person.locale
        copies.forget(person_id)
        for room in ROOMS:
            room.forget(identity, now=now)
        gone = mail.Extras(is_kept=False)
        mail.send("privacy/deleted", to=identity.addresses[0], locale=locale, extras=gone)
