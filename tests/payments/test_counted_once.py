"""Money is counted once, whichever door it comes in by and in whatever order staff and Stripe speak of it."""

from __future__ import annotations

import pytest

from marketplace.foundation import bank_days, clock, jobs
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.money import Money
from marketplace.payments import attempts, desk_search, discrepancies, ledger, offline, stripe_matching, unmatched
from marketplace.payments.models import Purpose, Refund
from marketplace.payments.sandbox import checkout
from marketplace.payments.stripe_models import StripeTransaction
from marketplace.payments.unmatched_models import UnmatchedAnswer
from tests.factories import make_run, make_staff, sign_in
from tests.payments.test_debts import indebted
from tests.payments.test_payments import place, start
from tests.payments.test_sponsors import pay
from tests.payments.test_sponsors import sponsor as sponsor
from tests.payments.test_sponsors import used as used
from tests.payments.test_stripe_matching import reconcile
from tests.payments.test_unmatched import held, record, say, waiting
from tests.races.test_books import together


@pytest.fixture
def order(sandbox, now):
    """Paid at Stripe, whose event has not come: the movement is listed first and belongs to nothing."""
    order = place(make_run(), now=now)
    attempt = start(order, now=now)
    checkout.try_to_pay(sandbox.store, sandbox.session_of(attempt), method="card")
    attempt.payment_intent_id = None
    db.session.flush()
    reconcile()
    return order


def everything_ran():
    attempts.settle_stale(older_than=clock.now(), now=clock.now())
    for _ in range(2):
        jobs.run_pending()
        reconcile()


def test_a_movement_named_for_its_own_order_settles_its_session_first(order, officer):
    with pytest.raises(Refused, match="not_waiting"):
        say(waiting(), officer, clock.now(), "order", order_number=order.public_id)
    everything_ran()

    assert order.state == "confirmed"
    assert (held().get("unmatched_money", 0), held()["unearned_revenue"]) == (0, -128000)
    assert db.session.query(Refund).count() == 0


def test_a_fact_that_turned_up_before_the_answer_is_the_answer(order, officer):
    attempts.settle_stale(older_than=clock.now(), now=clock.now())
    for kind in ("order", "ours"):
        with pytest.raises(Refused, match="not_waiting"):
            say(waiting(), officer, clock.now(), kind, **({"order_number": order.public_id} if kind == "order" else {}))
    everything_ran()

    assert (order.state, held()["unearned_revenue"], held().get("other_income", 0)) == ("confirmed", -128000, 0)


def test_a_session_whose_money_staff_have_answered_is_asked_about_and_not_counted_again(order, officer):
    say(waiting(), officer, clock.now(), "ours")
    everything_ran()

    assert (order.state, held()["other_income"]) == ("awaiting_payment", -128000)
    assert held().get("unearned_revenue", 0) == held().get("refunds_payable", 0) == 0
    assert [one.kind for one in discrepancies.list_open()] == ["missing_here"]


def test_what_is_no_payment_is_not_booked_as_one(officer, now):
    order = place(make_run(), now=now)
    values = {"amount_minor": 128000, "fee_minor": 0, "currency": "CNY", "source_id": "re_x", "happened_at": now}
    with transaction():
        row = add(StripeTransaction(transaction_id="t", type="refund_failure", payment_intent_id="pi_x", **values))
    stripe_matching.match(row.id, now=now)
    say(waiting(), officer, now, "order", order_number=order.public_id)

    assert held() == {"stripe_balance": 128000, "unearned_revenue": -128000}


def test_a_transfer_of_a_sponsor_is_none_of_an_order(officer, sponsor, used, now):
    order = place(make_run(), now=now)
    transfer = offline.Transfer(order.total, "ICBC 1", bank_days.day_of(now))
    pay(sponsor, officer, now, minor=128000, reference="ICBC 1")
    with pytest.raises(Refused, match="entered_already"):
        offline.enter(order.id, transfer, reason="x", actor_id=officer.id, now=now)
    assert ledger.balances()["bank", "CNY"] == 128000


def test_a_transfer_comes_in_by_one_door_at_a_time(race_app):
    with race_app.app_context():
        now = clock.now()
        order = place(make_run(), now=now)
        order_id, total, officer_id = order.id, order.total, make_staff("finance_officer").id
        db.session.commit()
        db.session.remove()
    transfer = offline.Transfer(total, "Z1", bank_days.day_of(now))
    received = unmatched.Received(total, "Z1", bank_days.day_of(now), "x")
    got = together(
        race_app,
        lambda: offline.enter(order_id, transfer, reason="x", actor_id=officer_id, now=now).state,
        lambda: unmatched.record(received, reason="x", actor_id=officer_id, now=now).currency,
    )
    assert len([one for one in got if one in {"settled", "CNY"}]) == 1


def test_a_debt_is_not_paid_in_another_currency(officer, now):
    order = indebted(now=now)
    unmatched.record(
        unmatched.Received(Money(1000, "USD"), "U1", bank_days.day_of(now), "x"),
        reason="x", actor_id=officer.id, now=now,
    )  # fmt: skip
    with pytest.raises(Invalid, match="wrong_amount"):
        say(waiting(), officer, now, "order", order_number=order.public_id, purpose=Purpose.DEBT)


def test_the_desk_finds_an_order_by_the_reference_of_money_that_was_assigned_to_it(officer, now):
    order = place(make_run(), now=now)
    record(officer, now, reference="ICBC 7")
    assert desk_search.search("ICBC 7").hits == []
    say(waiting(), officer, now, "order", order_number=order.public_id)
    assert [hit.order.id for hit in desk_search.search("icbc 7").hits] == [order.id]


def test_answers_in_pieces_need_four_eyes_like_one(officer, now):
    for number in range(3):
        money = record(officer, now, minor=500000, reference=f"P{number}")
        [found] = [one for one in discrepancies.list_open() if one.reference == money.public_id]
        say(found, officer, now, "returned", bank_reference=f"B{number}", sent_on=bank_days.day_of(now))
    states = [one.state for one in db.session.query(UnmatchedAnswer).order_by("id")]
    assert states == ["settled", "proposed", "proposed"]


def test_another_officer_sees_a_payment_of_a_sponsor_in_the_queues(client, officer, sponsor, used, now):
    pay(sponsor, officer, now, minor=600000)
    sign_in(client, make_staff("finance_officer"))
    assert client.get("/staff/queues?lang=en").status_code == 200
