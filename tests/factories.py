"""Rows for tests, each with everything it needs; what a test is about, it says by keyword."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from flask import Flask, session
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf

from marketplace.accounts import sign_ins
from marketplace.accounts.models import Membership, Organisation, Person, StaffAppointment
from marketplace.accounts.security import KEY
from marketplace.catalog import search
from marketplace.catalog.models import Course, CourseProvider, CourseRun, CourseState, RunState, Session
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


def make_course(provider: Organisation | None = None, **values: object) -> Course:
    """A published course of a university of its own, unless a provider is given."""
    number = next(_numbers)
    given = {"title_zh": f"第{number}课", "title_en": f"Course {number}", "state": CourseState.PUBLISHED}
    with transaction():
        provider = provider or make_organisation()
        course = add(Course(**(given | {"published_at": clock.now()} | values)))
        add(CourseProvider(course_id=course.id, organisation_id=provider.id))
    return course


def make_listed_course(provider: Organisation | None = None, **values: object) -> Course:
    """A published course that the list shows as well, with the runs it has now: none."""
    with transaction():
        course = make_course(provider, **values)
        search.index_course(course, now=clock.now())
    return course


def make_run(course: Course | None = None, *, sessions: int = 2, **values: object) -> CourseRun:
    """A scheduled run open for enrolment: 20 seats for CNY 1,280, weekly sessions of 3 hours thirty days ahead."""
    starts_at = clock.now() + timedelta(days=30)
    given = {
        "state": RunState.SCHEDULED,
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(days=7 * max(sessions - 1, 0), hours=3),
        "enrol_opens_at": starts_at - timedelta(days=60),
        "enrol_closes_at": starts_at - timedelta(days=1),
        "capacity": 20,
        "price_minor": 128000,
    }
    with transaction():
        course = course or make_course()
        run = add(CourseRun(course_id=course.id, **(given | values)))
        for position in range(1, sessions + 1):
            begins = run.starts_at + timedelta(days=7 * (position - 1))
            add(Session(run_id=run.id, position=position, starts_at=begins, ends_at=begins + timedelta(hours=3)))
    return run


def sign_in(client: FlaskClient, person: Person) -> FlaskClient:
    """Let the client carry a session of this person, without the sign-in page."""
    key = sign_ins.begin(person, user_agent="test", address="127.0.0.1", is_remembered=False, now=clock.now())
    with client.session_transaction() as session:
        session[KEY] = key
        session["_user_id"] = person.fs_uniquifier
        session["_fresh"] = True
    return client


def session_of(app: Flask, person: Person) -> tuple[str, str]:
    """A session cookie of this person and the token its forms send; to be called outside an application context."""
    with app.test_request_context():
        key = sign_ins.begin(person, user_agent="test", address="127.0.0.1", is_remembered=False, now=clock.now())
        session.update({KEY: key, "_user_id": person.fs_uniquifier, "_fresh": True})
        token = generate_csrf()
        return app.session_interface.get_signing_serializer(app).dumps(dict(session)), token
