"""Every door to somebody's things, tried with real ids: for those whose they are not, they do not exist."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import text

from marketplace.accounts import organisations, permissions
from marketplace.accounts.models import Organisation, Person
from marketplace.catalog import partners
from marketplace.catalog.models import Course, CourseRun
from marketplace.demo import loading
from marketplace.enrolment import transfers
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Refused
from marketplace.participation import uploads
from marketplace.payments.invoice_models import FapiaoFile, FapiaoRequest
from marketplace.privacy import copies
from tests.factories import make_member, make_organisation, make_person, sign_in

# Anyone who is signed in may take a seat of a public run, wait or wish for one; a mailed key proves by itself.
SHARED = frozenset(
    {
        *(
            "enrolment.wish",
            "enrolment.remove_wish",
            "enrolment.enrol",
            "enrolment.place_order",
            "enrolment.price_seat",
        ),
        *("enrolment.join", "enrolment.transfer", "enrolment.accept_transfer", "enrolment.refuse_transfer"),
        *("accounts.invitation", "accounts.share"),
    }
)
# What stands first in an address, by its beginning.
THINGS = {
    "/account/agreements": "SELECT id FROM consent WHERE document = 'sharing' AND withdrawn_at IS NULL",
    "/account/data": "SELECT public_id FROM data_copy",
    "/account/sessions": "SELECT public_id FROM sign_in",
    "/attendance-files": "SELECT public_id FROM attendance_upload",
    "/desk/courses": "SELECT public_id FROM course",
    "/desk/invitations": "SELECT public_id FROM provider_invitation",
    "/desk/runs": "SELECT public_id FROM course_run",
    "/desk/sessions": "SELECT public_id FROM run_session",
    "/fapiao-files": "SELECT public_id FROM fapiao_file",
    "/invoices": "SELECT public_id FROM invoice",
    "/manage/run-changes": "SELECT public_id FROM run_change",
    "/manage/runs": "SELECT public_id FROM course_run",
    "/my/courses": """
        SELECT course.public_id FROM course
          JOIN course_run ON course_id = course.id JOIN enrolment ON run_id = course_run.id
    """,
    "/my/places": "SELECT public_id FROM enrolment WHERE ended_at IS NULL",
    "/my/progress": "SELECT public_id FROM enrolment WHERE ended_at IS NULL",
    "/my/run-changes": "SELECT public_id FROM run_change_answer",
    "/my/transfers": "SELECT public_id FROM enrolment_change",
    "/orders": 'SELECT public_id FROM "order"',
    "/organisations": "SELECT public_id FROM organisation WHERE name_en = 'Pujiang Animation Studio'",
    "/providers": "SELECT public_id FROM organisation WHERE kind = 'university'",
    "/runs": "SELECT run.public_id FROM course_run AS run JOIN seat_pool ON run_id = run.id",
    "/sessions": "SELECT public_id FROM run_session",
    "/waiting": "SELECT public_id FROM waiting_entry",
    "/wishes": "SELECT public_id FROM search_wish",
}
# What stands second.
PARTS = {
    "alignment_id": "SELECT id FROM course_skill",
    "invitation_id": "SELECT public_id FROM invitation",
    "organisation_id": "SELECT public_id FROM organisation WHERE kind = 'university'",
    "person_id": "SELECT public_id FROM person",
    "pool_id": "SELECT public_id FROM seat_pool",
    "rule_id": "SELECT public_id FROM price_rule",
}


@pytest.fixture
def things(app):
    """The demo, and one of each thing that it lacks; an id for each beginning of an address and each part."""
    now = clock.now()
    loading.load(now=now)
    learner = db.session.query(Person).filter_by(email="learner@demo.example").one()
    sign_in(app.test_client(), learner)
    copies.ask(learner, now=now)
    course = db.session.query(Course).filter(Course.runs.any()).order_by(Course.id).first()
    universities = db.session.query(Organisation).filter_by(kind="university").order_by(Organisation.id).all()
    other = next(one for one in universities if one.id not in course.organisation_ids)
    partners.invite(course.id, other.public_id, {"duties_zh": "", "duties_en": ""}, actor=learner, now=now)
    organisations.invite(other, email="x@example.com", role="editor", actor=learner, now=now)
    uploads.begin(course.runs[0].id, b"email,session,status\n", file_name="x.csv", actor_id=learner.id, now=now)
    _offer_a_place(now)
    request = db.session.query(FapiaoRequest).first()
    with transaction():
        words = {"purpose": "fapiao", "file_name": "x.pdf", "media_type": "application/pdf"}
        add(FapiaoFile(request_id=request.id, content=b"%PDF", **words))
    found = {name: db.session.execute(text(f"{query} LIMIT 1")).scalar() for name, query in (THINGS | PARTS).items()}
    assert [name for name, value in found.items() if value is None] == []
    return found


def _offer_a_place(now):
    """Let somebody offer their place to somebody else."""
    coming = (
        db.session.query(Enrolment)
        .join(Enrolment.run)
        .filter(
            Enrolment.ended_at.is_(None), CourseRun.starts_at > now + timedelta(days=20), CourseRun.state == "scheduled"
        )
    )
    for place in coming.order_by(Enrolment.id):
        with suppress(Refused):
            transfers.offer(place.id, "somebody@example.com", actor=place.person, now=now)
            return
    raise AssertionError("nobody may pass on a place")


def doors(app, things):
    """Method and address of each door to somebody's things, with an id of theirs."""
    for rule in app.url_map.iter_rules():
        demanded = permissions.PERMISSIONS.get(rule.endpoint)
        if not rule.arguments or demanded is None or demanded.kind in {*permissions.OPEN_KINDS, "staff"}:
            continue
        if rule.endpoint in SHARED:
            continue
        thing = next(value for start, value in things.items() if rule.rule.startswith(f"{start}/"))
        first, *others = (name for name in re.findall(r"<(?:\w+:)?(\w+)>", rule.rule))
        values = {first: thing} | {name: things[name] for name in others}
        with app.test_request_context():
            path = app.url_map.bind("localhost").build(rule.endpoint, values)
        yield from ((method, path) for method in sorted(rule.methods & {"GET", "POST"}))


def test_what_belongs_to_others_does_not_exist_behind_any_door(app, client, things):
    """404, or 403 where the visitor has the role nowhere; never a page, a redirect, or a form's complaint."""
    visitors = {
        "a person": make_person(),
        "an owner of another university": make_member(make_organisation(), "owner"),
        "an owner of another employer": make_member(make_organisation(kind="employer"), "owner"),
    }
    tried, opened = 0, []
    for name, visitor in visitors.items():
        sign_in(client, visitor)
        for method, path in doors(app, things):
            status = client.open(path, method=method).status_code
            tried += 1
            if status not in {403, 404}:
                opened.append(f"{name}: {method} {path}: {status}")

    assert opened == []
    assert tried > 300
