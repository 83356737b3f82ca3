"""The desk moves an order to another run of its course, with its reason, what goes back, and nobody without a place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import places
from marketplace.enrolment.models import Enrolment
from marketplace.foundation import formats, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.payments import acts, desk, desk_moves, ledger
from marketplace.payments.models import Refund
from tests.factories import make_course, make_run, make_staff, sign_in
from tests.payments.test_debts import transaction_paid
from tests.payments.test_desk_views import statements
from tests.payments.test_payments import place


@pytest.fixture
def course(app):
    return make_course()


def sold(run, *, now):
    order = place(run, now=now)
    transaction_paid(order, now=now)
    return order


def taken(*runs):
    return [db.session.get(CourseRun, run.id).seats_taken for run in runs]


def test_the_runs_to_move_to_cost_the_same_however_many_they_are(client, course, now):
    order, officer = sold(make_run(course), now=now), make_staff("finance_officer")
    sign_in(client, officer)
    address = f"/staff/orders/{order.public_id}/move"
    make_run(course)
    client.get(address)
    few = statements(lambda: client.get(address))
    for _ in range(4):
        make_run(course)

    assert statements(lambda: client.get(address)) == few


def test_what_comes_next_confirmation_and_calendar_are_of_the_run_moved_to(client, course, now):
    run = make_run(course)
    later = make_run(course, starts_at=run.starts_at + timedelta(days=60), ends_at=run.ends_at + timedelta(days=60))
    order, officer = sold(run, now=now), make_staff("finance_officer")
    desk_moves.move(order, later, shown=Money(0, "CNY"), reason="ill", actor_id=officer.id, now=now)

    file = desk.open_file(order.public_id)
    assert desk.standing_of(file).run_ends_at == later.ends_at
    sign_in(client, order.person)
    assert f"/runs/{later.public_id}.ics" in client.get(f"/orders/{order.public_id}").text
    again = desk.resend_confirmation(order.id, reason="lost", actor_id=officer.id, now=now)
    assert formats.format_date(later.starts_at.astimezone(later.tzinfo), "long", rebase=False) in again.text


def test_an_order_moves_and_the_difference_goes_back(client, course, now):
    run, cheaper = make_run(course), make_run(course, price_minor=100_000, enrol_closes_at=now - timedelta(days=1))
    make_run(course, starts_at=now - timedelta(days=1))
    make_run(price_minor=1)
    order, officer = sold(run, now=now), make_staff("finance_officer")
    sign_in(client, officer)
    address = f"/staff/orders/{order.public_id}"
    assert f"{address}/move" in client.get(address).text
    page = client.get(f"{address}/move?lang=en").text
    assert "CN¥280.00 goes back" in page
    assert page.count('type="radio"') == 1

    sent = {"to_run": f"{cheaper.public_id}/-28000", "reason": "teacher ill"}
    assert client.post(f"{address}/move", data=sent).location == address

    jobs.run_pending()
    moved = places.find_of_order(order.id)
    assert (moved.run_id, taken(run, cheaper)) == (cheaper.id, [0, 1])
    assert db.session.query(Enrolment).filter_by(person_id=order.person_id, ended_at=None).count() == 1
    assert db.session.query(Refund).one().amount == Money(28_000, "CNY")
    act = acts.list_of_order(order.id)[-1]
    assert (act.kind, act.reason, act.person_id) == ("order_moved", "teacher ill", officer.id)
    assert act.details == {"from": run.public_id, "to": cheaper.public_id, "back": 28_000, "currency": "CNY"}
    assert db.session.query(OutgoingMail).filter_by(message="enrolment/place_deferred").count() == 1
    assert "teacher ill" in client.get(address).text


def test_a_dearer_run_costs_nothing_more(course, now):
    run, dearer = make_run(course), make_run(course, price_minor=200_000)
    order = sold(run, now=now)
    [step] = desk_moves.list_moves(order, now=now)
    assert (step.run.id, step.difference) == (dearer.id, Money(0, "CNY"))

    desk_moves.move(
        order, dearer, shown=step.difference, reason="wish", actor_id=make_staff("finance_officer").id, now=now
    )

    assert taken(run, dearer) == [0, 1]
    assert ledger.balances() == {("bank", "CNY"): 128_000, ("unearned_revenue", "CNY"): -128_000}


def test_what_cannot_be_moved_says_why(client, course, now):
    run, full = make_run(course), make_run(course, capacity=1)
    order, _other = sold(run, now=now), sold(full, now=now)
    officer = make_staff("finance_officer")
    nothing = Money(0, "CNY")
    with pytest.raises(Refused, match="run_full"):
        desk_moves.move(order, full, shown=nothing, reason="x", actor_id=officer.id, now=now)
    with pytest.raises(Refused, match="other_course"):
        desk_moves.move(order, make_run(), shown=nothing, reason="x", actor_id=officer.id, now=now)
    with pytest.raises(Refused, match="statement_changed"):
        desk_moves.move(order, make_run(course), shown=-Money(1, "CNY"), reason="x", actor_id=officer.id, now=now)
    with pytest.raises(Refused, match="no_reason"):
        desk_moves.move(order, make_run(course), shown=nothing, reason=" ", actor_id=officer.id, now=now)
    assert (places.find_of_order(order.id).run_id, taken(run)) == (run.id, [1])

    sign_in(client, officer)
    assert client.post(f"/staff/orders/{order.public_id}/move", data={"reason": "x"}).status_code == 422
    places.end_of_order(order.id, "refunded", now=now, actor_id=None)
    assert client.get(f"/staff/orders/{order.public_id}/move").status_code == 303
