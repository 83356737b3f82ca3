"""The funnel of a programme: one person in each step, marks that are corrected, and steps that are nested."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.enrolment.models import Enrolment, EnrolmentSource, OrderLine
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.funding import claims, subsidies, subsidy_lists
from marketplace.funding.subsidy_rules import Rule
from marketplace.metrics import funnels
from marketplace.participation.models import Attendance, Completion
from tests.factories import make_staff
from tests.funding.made import funder_paid, make_programme, make_subsidy

EVIDENCE = {"attendance_percent": 90, "completed_at": "2026-05-01T08:00:00+00:00"}


@pytest.fixture(autouse=True)
def words(app):
    with app.test_request_context(headers={"Accept-Language": "en"}):
        yield


def enrol(subsidy, *marks, completed=False):
    """Give the subsidy's learner their place; each mark is (session, status), in the order they were entered."""
    now = clock.now()
    with transaction():
        line = db.session.get_one(OrderLine, subsidy.order_line_id)
        place = add(Enrolment(run_id=line.run_id, person_id=subsidy.person_id, enrolled_at=now))
        add(EnrolmentSource(enrolment_id=place.id, order_line_id=line.id, granted_at=now))
        for number, (session, status) in enumerate(marks):
            when = now + timedelta(seconds=number)
            session_id = line.run.sessions[session].id
            add(Attendance(enrolment_id=place.id, session_id=session_id, status=status, recorded_at=when))
        if completed:
            add(Completion(enrolment_id=place.id, completed_at=now, rule_version=1))


def claimed(programme, *ones, paid=False):
    officer = make_staff("funding_officer")
    for one in ones:
        subsidies.earn(one.id, EVIDENCE, now=clock.now())
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    if paid:
        paid_minor = sum(one.amount_minor for one in ones)
        claims.mark_paid(batch.id, funder_paid(paid_minor, "ICBC-3"), actor_id=officer.id, now=clock.now())


def counts(programme):
    return [step.count for step in funnels.funnel(programme.id)]


def test_each_step_counts_those_who_came_so_far():
    programme = make_programme()
    _applied, enrolled, came, completed, asked, paid = (make_subsidy(programme) for _ in range(6))
    enrol(enrolled)
    enrol(came, (0, "present"))
    for one in (completed, asked, paid):
        enrol(one, (0, "present"), completed=True)
    claimed(programme, paid, paid=True)
    claimed(programme, asked)
    make_subsidy(make_programme())

    steps = funnels.funnel(programme.id)

    assert [step.count for step in steps] == [6, 6, 5, 4, 3, 2, 1]
    assert [step.percent for step in steps] == [None, 100, 83, 80, 75, 66, 50]


def test_a_corrected_mark_counts_as_it_was_corrected():
    programme = make_programme()
    enrol(make_subsidy(programme), (0, "present"), (0, "absent"))
    enrol(make_subsidy(programme), (0, "absent"), (0, "present"))
    enrol(make_subsidy(programme), (0, "present"), (1, "absent"))

    assert counts(programme) == [3, 3, 3, 2, 0, 0, 0]


def test_no_step_counts_a_seat_that_the_step_before_does_not():
    programme = make_programme()
    nowhere, absent = make_subsidy(programme), make_subsidy(programme)
    enrol(absent, (0, "present"), (0, "absent"), completed=True)
    claimed(programme, nowhere, paid=True)

    assert counts(programme) == [2, 2, 1, 0, 0, 0, 0]


def test_what_was_claimed_and_paid_is_what_claims_and_budget_say():
    """A programme may ask for less than a completion, and a mark may be corrected after the money was claimed."""
    programme = make_programme(rule=Rule(percent=50, attendance_percent=50, needs_completion=False))
    came, corrected, waiting = (make_subsidy(programme) for _ in range(3))
    for one in (came, waiting):
        enrol(one, (0, "present"))
    enrol(corrected, (0, "present"), (0, "absent"))
    claimed(programme, came, corrected, paid=True)
    claimed(programme, waiting)

    assert counts(programme) == [3, 3, 3, 3, 3, 3, 2]
    assert sum(one.lines for one in claims.list_batches(programme)) == 3
    assert subsidy_lists.waterfall(programme).lines["paid"] == 2


def test_what_was_paid_and_clawed_back_is_not_counted_as_paid():
    programme = make_programme()
    subsidy = make_subsidy(programme)
    enrol(subsidy, (0, "present"), completed=True)
    claimed(programme, subsidy, paid=True)
    subsidies.release(subsidy.order_line_id, "refunded", now=clock.now())

    assert counts(programme) == [1, 1, 1, 1, 1, 1, 0]
