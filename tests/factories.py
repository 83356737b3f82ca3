"""Rows for tests, each with everything it needs; what a test is about, it says by keyword."""

from __future__ import annotations

from itertools import count

from flask.testing import FlaskClient

from marketplace.accounts import sign_ins
from marketplace.accounts.models import Membership, Organisation, Person, StaffAppointment
from marketplace.accounts.security import KEY
from marketplace.foundation import clock
from marketplace.foundation.database import add, transaction

_numbers = count(1)


def make_person(**values: object) -> Person:
    """A confirmed person without a password; `sign_in` opens a session for them."""
    number = next(_numbers)
    given = {"email": f"person{number}@example.com", "name": f"Person {number}", "confirmed_at": clock.now()}
    with transaction():
        return add(Person(**(given | values)))


def make_staff(role: str, **values: object) -> Person:
    """A member of the programme's staff."""
    with transaction():
        person = make_person(**values)
        add(StaffAppointment(person_id=person.id, role=role))
    return person


def make_organisation(**values: object) -> Organisation:
    """A university, unless `kind` says otherwise."""
    number = next(_numbers)
    given = {"kind": "university", "name_zh": f"第{number}大学", "name_en": f"University {number}"}
    with transaction():
        return add(Organisation(**(given | values)))


def make_member(organisation: Organisation, role: str, **values: object) -> Person:
    """A person with a role in an organisation."""
    with transaction():
        person = make_person(**values)
        add(Membership(person_id=person.id, organisation_id=organisation.id, role=role))
    return person


def sign_in(client: FlaskClient, person: Person) -> FlaskClient:
    """Let the client carry a session of this person, without the sign-in page."""
    key = sign_ins.begin(person, user_agent="test", address="127.0.0.1", is_remembered=False, now=clock.now())
    with client.session_transaction() as session:
        session[KEY] = key
        session["_user_id"] = person.fs_uniquifier
        session["_fresh"] = True
    return client
