"""Money that two hands reach for: approved twice, transferred and paid at Stripe, earned by two workers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from marketplace.enrolment.models import Enrolment, Order, RefundDue
from marketplace.foundation import bank_days, clock, ids
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Refused
from marketplace.payments import attempts, debts, ledger, offline, postings, write_offs
from marketplace.payments.models import LedgerTransaction, PaymentAttempt, Purpose
from marketplace.payments.offline import Transfer
from marketplace.payments.stripe_gateway import Session
from tests.buying import place_order
from tests.factories import make_person, make_run, make_staff
from tests.payments.test_debts import indebted

ROUNDS = 6


def together(app, *acts):
    """Do all of it at once, each in a thread and context of its own; what each gave, or its refusal's code."""

    def do(act):
        with app.app_context():
            try:
                return act()
            except Refused as refusal:
                return refusal.code
            finally:
                db.session.remove()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(do, acts))


def place(price=600000):
    run, person, now = make_run(price_minor=price), make_person(), clock.now()
    order = place_order(run.id, person.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)
    return order.id, order.total, run.id


def open_page(order_id, total, *, now):
    """The order's page at Stripe, which somebody may pay at any moment."""
    with transaction():
        return add(
            PaymentAttempt(
                order_id=order_id,
                state="open",
                session_id="cs_race",
                amount_minor=total.minor,
                currency="CNY",
                expires_at=now + timedelta(hours=1),
            )
        )


def enter(order_id, total, officer_id, now):
    transfer = Transfer(total, "A1", bank_days.day_of(now))
    return offline.enter(order_id, transfer, reason="bank", actor_id=officer_id, now=now).public_id


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_transfer_is_approved_once_however_many_approve(race_app, number):
    with race_app.app_context():
        now = clock.now()
        order_id, total, _run = place()
        payment = enter(order_id, total, make_staff("finance_officer").id, now)
        officers = [make_staff("finance_officer").id for _ in range(4)]
        db.session.remove()

    def approval(officer):
        return lambda: offline.approve(payment, reason="seen", actor_id=officer, now=now).state

    answers = together(race_app, *(approval(officer) for officer in officers))
    with race_app.app_context():
        assert sorted(answers) == [*["decided_already"] * 3, "settled"]
        assert db.session.query(PaymentAttempt).count() == 1
        assert ledger.balances()["bank", "CNY"] == 600000


@pytest.mark.parametrize("number", range(ROUNDS))
def test_transferred_and_paid_at_stripe_in_one_moment_enrols_once_and_gives_one_back(race_app, number):
    with race_app.app_context():
        now = clock.now()
        order_id, total, _run = place(price=128000)
        officer = make_staff("finance_officer").id
        attempt = open_page(order_id, total, now=now)
        number_of = attempt.public_id
        db.session.remove()
    paid = Session("cs_race", None, "complete", "paid", total, "pi_race", "succeeded", None, number_of)

    together(
        race_app,
        lambda: bool(attempts.settle(paid, now=now)),
        lambda: enter(order_id, total, officer, now),
    )
    with race_app.app_context():
        order = db.session.get_one(Order, order_id)
        assert (order.state, db.session.query(Enrolment).count()) == ("confirmed", 1)
        twice = db.session.query(PaymentAttempt).filter_by(state="paid").count() == 2
        assert db.session.query(RefundDue).count() == (1 if twice else 0)
        assert ledger.balances().get(("refunds_payable", "CNY"), 0) == (-128000 if twice else 0)
        assert ledger.balances()["unearned_revenue", "CNY"] == -128000


@pytest.mark.parametrize("number", range(ROUNDS))
def test_an_order_is_earned_once_by_several_workers(race_app, number):
    with race_app.app_context():
        now = clock.now()
        order_id, total, _run = place(price=128000)
        enter(order_id, total, make_staff("finance_officer").id, now)
        later = now + timedelta(days=90)
        db.session.remove()

    assert sorted(together(race_app, *[lambda: postings.earn(order_id, now=later)] * 4)) == [False] * 3 + [True]
    with race_app.app_context():
        assert db.session.query(LedgerTransaction).filter_by(kind="earned").count() == 1


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_debt_is_settled_once_however_it_is_paid_and_written_off(race_app, number):
    """A transfer, Stripe and a write-off of the whole debt at once: what is beyond it goes back to the learner."""
    with race_app.app_context():
        now = clock.now()
        order = indebted(now=now)
        order_id, number_of, owed = order.id, order.public_id, debts.find(order.public_id).left
        officer = make_staff("finance_officer").id
        with transaction():
            attempt = add(
                PaymentAttempt(
                    order_id=order_id,
                    purpose=Purpose.DEBT,
                    state="open",
                    session_id=f"cs_debt_{number}",
                    amount_minor=owed.minor,
                    currency="CNY",
                    expires_at=now + timedelta(hours=1),
                )
            )
        session = Session(
            id=attempt.session_id,
            url=None,
            status="complete",
            payment_status="paid",
            amount=owed,
            payment_intent_id="pi_debt",
            intent_status="succeeded",
            failure_code=None,
            reference=attempt.public_id,
        )
        transfer = Transfer(owed, "A1", bank_days.day_of(now), Purpose.DEBT)
        db.session.remove()

    together(
        race_app,
        lambda: attempts.settle(session, now=now).state,
        lambda: offline.enter(order_id, transfer, reason="bank", actor_id=officer, now=now).state,
        lambda: write_offs.propose(order_id, owed, reason="ill", actor_id=officer, now=now).state,
    )

    with race_app.app_context():
        debt = debts.find(number_of)
        assert (debt.left.minor, (debt.paid + debt.written_off).minor) == (0, owed.minor)
        assert ledger.balances().get(("learner_receivable", "CNY"), 0) == 0
