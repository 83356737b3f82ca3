from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from marketplace.enrolment import orders, rules
from marketplace.enrolment.models import Enrolment, RefundDue
from marketplace.foundation import bank_days, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.money import Money
from marketplace.payments import acts, attempts, ledger, offline, reconciliation, refunds
from marketplace.payments.desk_models import StaffAct
from marketplace.payments.models import LedgerTransaction, PaymentAttempt, Refund
from marketplace.payments.offline import Transfer
from tests.factories import make_run, make_staff
from tests.payments.test_payments import place, start


def enter(order, officer, *, now, reference="ICBC 1104", amount=None, received_on=None):
    transfer = Transfer(amount or order.total, reference, received_on or bank_days.day_of(now))
    return offline.enter(order.id, transfer, reason="transfer of the employer", actor_id=officer.id, now=now)


def enrolled(order):
    return db.session.query(Enrolment).filter_by(person_id=order.person_id, ended_at=None).count()


def test_a_transfer_up_to_the_limit_confirms_the_order_at_once(officer, now):
    order = place(make_run(price_minor=500000), now=now)
    payment = enter(order, officer, now=now)

    attempt = db.session.query(PaymentAttempt).one()
    assert (payment.state, payment.bank_reference, payment.attempt_id) == ("settled", "ICBC1104", attempt.id)
    assert (order.state, attempt.state, attempt.method, enrolled(order)) == ("confirmed", "paid", "offline", 1)
    assert ledger.balances() == {("bank", "CNY"): 500000, ("unearned_revenue", "CNY"): -500000}
    reconciliation.reconcile(now=now)
    [act] = acts.list_of_order(order.id)
    assert (act.kind, act.reason, act.person_id) == ("transfer_entered", "transfer of the employer", officer.id)


def test_above_the_limit_another_officer_settles_it(officer, now):
    order = place(make_run(price_minor=500001), now=now)
    payment = enter(order, officer, now=now)
    assert (payment.state, order.state, ledger.balances()) == ("proposed", "awaiting_payment", {})
    assert offline.list_waiting() == [payment]

    with pytest.raises(Refused, match="four_eyes"):
        offline.approve(payment.public_id, reason="seen", actor_id=officer.id, now=now)
    second = make_staff("administrator")
    offline.approve(payment.public_id, reason="seen", actor_id=second.id, now=now)
    assert (order.state, payment.decided_by_id) == ("confirmed", second.id)
    with pytest.raises(Refused, match="decided_already"):
        offline.approve(payment.public_id, reason="seen", actor_id=make_staff("finance_officer").id, now=now)
    assert db.session.query(PaymentAttempt).count() == 1


def test_a_transfer_that_is_turned_down_may_be_entered_again(officer, now):
    order = place(make_run(price_minor=500001), now=now)
    payment = enter(order, officer, now=now)
    with pytest.raises(Refused, match="uq_offline_payment_order_id_bank_reference"):
        enter(order, officer, now=now, reference="icbc1104")

    offline.decline(payment.public_id, reason="not at the bank", actor_id=make_staff("finance_officer").id, now=now)
    assert payment.state == "declined"
    assert enter(order, officer, now=now).state == "proposed"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": Money(127999, "CNY")}, "amount"),
        ({"amount": Money(128000, "USD")}, "amount"),
        ({"reference": "  "}, "bank_reference"),
        ({"received_on": "tomorrow"}, "received_on"),
    ],
)
def test_what_cannot_be_a_transfer_for_the_order_is_refused(officer, now, changes, field):
    if changes.get("received_on") == "tomorrow":
        changes = {"received_on": bank_days.day_of(now) + timedelta(days=1)}
    with pytest.raises(Invalid) as refused:
        enter(place(make_run(), now=now), officer, now=now, **changes)
    assert list(refused.value.fields) == [field]


def test_a_reason_must_be_given(officer, now):
    order = place(make_run(), now=now)
    with pytest.raises(Invalid):
        offline.enter(
            order.id, Transfer(order.total, "A", bank_days.day_of(now)), reason=" ", actor_id=officer.id, now=now
        )
    assert order.state == "awaiting_payment"


def test_a_late_transfer_is_honoured_if_a_seat_is_left_and_else_goes_back(officer, now):
    run = make_run(capacity=1)
    first = place(run, now=now)
    late = now + rules.HOLD_FOR
    orders.expire_orders(now=late)
    enter(first, officer, now=late)
    assert first.state == "confirmed"

    second_run = make_run(capacity=1)
    second = place(second_run, now=now)
    orders.expire_orders(now=late)
    place(second_run, now=late)
    enter(second, officer, now=late)
    assert (second.state, enrolled(second)) == ("expired", 0)
    assert db.session.query(RefundDue).one().reason == "seat_gone"
    assert ledger.balances()["refunds_payable", "CNY"] == -128000


def test_the_page_at_stripe_is_closed_when_the_transfer_came_first(sandbox, officer, now):
    order = place(make_run(), now=now)
    attempt = start(order, now=now)
    enter(order, officer, now=now)

    assert attempts.close_dead_sessions(now=now) == 1
    assert attempt.state == "expired"


def booked(key):
    [posted] = db.session.query(LedgerTransaction).filter(LedgerTransaction.key.startswith(key))
    return posted


def noon(day):
    return datetime.combine(day, time(12), bank_days.ZONE)


@pytest.mark.parametrize("price", [128000, 600000])
def test_a_transfer_is_booked_on_the_banks_day_and_recorded_when_it_is_entered(officer, now, price):
    order = place(make_run(price_minor=price), now=now - timedelta(days=20))
    day = bank_days.day_of(now - timedelta(days=5))
    payment = enter(order, officer, now=now, received_on=day)
    if payment.state == "proposed":
        offline.approve(payment.public_id, reason="x", actor_id=make_staff("finance_officer").id, now=now)

    posted = booked("payment:")
    assert (order.state, posted.occurred_at, posted.recorded_at) == ("confirmed", noon(day), now)
    assert db.session.query(PaymentAttempt).one().paid_at == noon(day)
    assert ledger.balances(ledger.CutOff(now - timedelta(days=3), now + timedelta(days=1)))["bank", "CNY"] == price


def test_a_transfer_is_not_booked_before_its_order(officer, now):
    order = place(make_run(), now=now - timedelta(days=3))
    enter(order, officer, now=now, received_on=bank_days.day_of(now - timedelta(days=40)))
    assert booked("payment:").occurred_at == now - timedelta(days=3)


def returning(officer, now, *, came):
    """A refund of money that came on a day, asked for five days ago."""
    order, then = place(make_run(), now=now - timedelta(days=20)), now - timedelta(days=5)
    enter(order, officer, now=then, received_on=bank_days.day_of(came))
    asked = {"reason": "ill", "ends_place": True, "actor_id": officer.id, "now": then}
    [refund] = refunds.request_refund(order.id, order.total, **asked)
    jobs.run_pending()
    return refund


def test_a_refund_is_booked_on_the_day_it_left_the_bank(officer, now):
    refund = returning(officer, now, came=now - timedelta(days=9))
    day = bank_days.day_of(now - timedelta(days=4))
    sent = {"bank_reference": "B 1", "reason": "sent", "actor_id": officer.id, "now": now}
    offline.refund_sent(refund.public_id, sent_on=day, **sent)

    posted = booked("refund:")
    assert (posted.occurred_at, posted.recorded_at, refund.settled_at) == (noon(day), now, noon(day))
    assert acts.list_of_order(refund.attempt.order_id)[-1].details["day"] == day.isoformat()


@pytest.mark.parametrize(("days", "code"), [(-1, "future_day"), (10, "before_payment"), (6, "before_asked")])
def test_a_refund_cannot_have_left_on_such_a_day(officer, now, days, code):
    refund = returning(officer, now, came=now - timedelta(days=9))
    day = bank_days.day_of(now - timedelta(days=days))
    sent = {"bank_reference": "B 1", "reason": "sent", "actor_id": officer.id, "now": now}
    with pytest.raises(Invalid, match=code):
        offline.refund_sent(refund.public_id, sent_on=day, **sent)
    assert db.session.query(Refund).one().state == "requested"


def test_a_refund_is_not_booked_before_the_hour_in_which_it_was_asked_for(officer, now):
    afternoon = datetime.combine(bank_days.day_of(now - timedelta(days=7)), time(15), bank_days.ZONE)
    refund = returning(officer, afternoon + timedelta(days=5), came=afternoon - timedelta(days=2))
    sent = {"bank_reference": "B 1", "reason": "sent", "actor_id": officer.id, "now": afternoon + timedelta(days=5)}
    offline.refund_sent(refund.public_id, sent_on=bank_days.day_of(afternoon), **sent)
    assert booked("refund:").occurred_at == afternoon


@pytest.mark.parametrize("minor", [128000, 128010])
def test_a_transfer_for_a_paid_order_is_owed_back(officer, now, minor):
    order = place(make_run(), now=now)
    enter(order, officer, now=now)
    again = enter(order, officer, now=now, reference="again", amount=Money(minor, "CNY"))
    jobs.run_pending()

    [refund] = db.session.query(Refund)
    assert (again.state, refund.attempt_id, refund.amount_minor) == ("settled", again.attempt_id, minor)
    assert (refund.state, db.session.query(RefundDue).one().reason) == ("requested", "paid_twice")
    assert (enrolled(order), order.state) == (1, "confirmed")
    assert ledger.balances() == {
        ("bank", "CNY"): 128000 + minor,
        ("unearned_revenue", "CNY"): -128000,
        ("refunds_payable", "CNY"): -minor,
    }
    with pytest.raises(Refused, match="uq_offline_payment_order_id_bank_reference"):
        enter(order, officer, now=now, reference="AGAIN")


@pytest.mark.parametrize("change", ["UPDATE staff_act SET reason = 'x'", "DELETE FROM staff_act"])
def test_an_act_cannot_be_changed(officer, now, change):
    enter(place(make_run(), now=now), officer, now=now)
    assert db.session.query(StaffAct).count() == 1

    with pytest.raises(DBAPIError, match="append-only"), transaction():
        db.session.execute(text(change))
