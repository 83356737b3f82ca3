"""Who is staff: appointed to a role and dismissed from it, always by somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import selectinload

from marketplace.accounts import events, sign_ins
from marketplace.accounts.models import Person, Role, StaffAppointment
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Forbidden, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MOST_FOUND = 50
# The roles of everyone on the page in one query.
_WITH_ROLES = selectinload(Person.appointments)


def list_staff() -> Sequence[Person]:
    """Everyone with a staff role, by name."""
    query = select(Person).where(Person.appointments.any()).order_by(Person.name, Person.id).options(_WITH_ROLES)
    return db.session.execute(query).scalars().all()


def search_people(words: str) -> Sequence[Person]:
    """People whose name or address contains the words; the first MOST_FOUND by name."""
    escaped = words.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    if not escaped:
        return []
    matches = or_(Person.name.ilike(f"%{escaped}%"), Person.email.ilike(f"%{escaped}%"))
    query = select(Person).where(matches).order_by(Person.name, Person.id).options(_WITH_ROLES)
    return db.session.execute(query.limit(MOST_FOUND)).scalars().all()


def get_person(public_id: str) -> Person:
    """The person of this public id; raises NotFound."""
    found = db.session.execute(select(Person).where(Person.public_id == public_id)).scalar_one_or_none()
    if found is None:
        raise NotFound
    return found


def appoint(person: Person, role: str, *, actor: Person | None, now: datetime) -> None:
    """Give a staff role; without `actor` it was done on the server's command line. Twice is once."""
    with transaction():
        if role in person.staff_roles:
            return
        author = actor.id if actor else None
        add(StaffAppointment(person=person, role=Role(role).value, appointed_at=now, appointed_by_id=author))
        events.record("appointed", now=now, person_id=person.id, actor_id=author, role=role)
        _end_sign_ins(person, actor, now=now)


def dismiss(person: Person, role: str, *, actor: Person, now: datetime) -> None:
    """Take a staff role; nobody takes their own administration, so one administrator always remains.

    Locks both people, so that two administrators cannot dismiss each other at once: the second is one no more.
    """
    with transaction():
        if role == Role.ADMINISTRATOR and person.id == actor.id:
            raise Refused("own_administration", lazy("Ask another administrator to take this role from you."))
        for row_id in sorted({person.id, actor.id}):
            locked(Person, row_id)
        if _find(actor, Role.ADMINISTRATOR) is None:
            raise Forbidden
        held = _find(person, role)
        if held is None:
            raise NotFound
        db.session.delete(held)
        db.session.flush()
        db.session.expire(person, ["appointments"])
        events.record("dismissed", now=now, person_id=person.id, actor_id=actor.id, role=role)
        _end_sign_ins(person, actor, now=now)


def _end_sign_ins(person: Person, actor: Person | None, *, now: datetime) -> None:
    """Who may do something else from now on signs in anew; an administrator who changes their own roles is there."""
    if actor is None or actor.id != person.id:
        sign_ins.end_all(person, now=now)


def _find(person: Person, role: str) -> StaffAppointment | None:
    return db.session.get(StaffAppointment, (person.id, role), populate_existing=True)
