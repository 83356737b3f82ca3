"""Officers who say what money is at the same moment, about the same money or as pieces of one."""

from __future__ import annotations

import pytest

from marketplace.enrolment.models import Order
from marketplace.foundation import bank_days, clock
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.money import Money
from marketplace.payments import attempts, ledger, offline, stripe_matching, unmatched
from marketplace.payments.models import Discrepancy
from marketplace.payments.offline import Transfer
from marketplace.payments.stripe_gateway import Session
from marketplace.payments.stripe_models import StripeTransaction
from marketplace.payments.unmatched import Received, Said
from marketplace.payments.unmatched_models import AnswerKind, UnmatchedAnswer
from tests.factories import make_staff
from tests.races.test_books import enter, open_page, place, together

ROUNDS = 6


def stray(name, minor, now, intent=None):
    """A movement at Stripe that belongs to nothing; what it waits as."""
    with transaction():
        row = add(
            StripeTransaction(
                transaction_id=name,
                type="charge",
                amount_minor=minor,
                fee_minor=0,
                currency="CNY",
                payment_intent_id=intent,
                happened_at=now,
            )
        )
    stripe_matching.match(row.id, now=now)
    return db.session.query(Discrepancy).filter_by(reference=name).one().public_id


def saying(public_id, officer_id, now, kind, reference=""):
    said = Said(AnswerKind(kind), bank_reference=reference)
    return lambda: unmatched.answer(public_id, said, reason="x", actor_id=officer_id, now=now).state


@pytest.mark.parametrize("number", range(ROUNDS))
def test_two_movements_that_are_answered_by_each_other_wait_in_no_circle(race_app, number):
    """The one that came later has the lower number; whoever answers locks both in the order of their numbers."""
    with race_app.app_context():
        now = clock.now()
        left, came = stray("txn_left", -1000, now), stray("txn_came", 1000, now)
        officers = [make_staff("finance_officer").id for _ in range(4)]
        db.session.remove()

    answers = together(
        race_app,
        saying(came, officers[0], now, "returned", "txn_left"),
        saying(left, officers[1], now, "ours", "txn_came"),
        saying(came, officers[2], now, "returned", "txn_left"),
        saying(left, officers[3], now, "ours", "txn_came"),
    )
    with race_app.app_context():
        assert "settled" in answers
        settled = db.session.query(UnmatchedAnswer).filter_by(state="settled").count()
        assert settled == answers.count("settled")
        resolved = db.session.query(Discrepancy).filter(Discrepancy.resolved_at.is_not(None)).count()
        balance = ledger.balances().get(("unmatched_money", "CNY"), 0)
        # Both closed by one word, or the one that left is an expense and the other waits.
        assert (resolved, balance) in {(2, 0), (1, -1000)}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_pieces_that_one_officer_answers_at_once_count_together(race_app, number):
    with race_app.app_context():
        now = clock.now()
        officer = make_staff("finance_officer").id
        for name in range(3):
            received = Received(Money(400000, "CNY"), f"P {name}", bank_days.day_of(now), "x")
            unmatched.record(received, reason="x", actor_id=officer, now=now)
        found = [one.public_id for one in db.session.query(Discrepancy)]
        db.session.remove()

    answers = together(race_app, *(saying(one, officer, now, "ours") for one in found))
    assert sorted(answers) == ["proposed", "proposed", "settled"]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_pieces_that_one_officer_enters_for_an_order_at_once_count_together(race_app, number):
    with race_app.app_context():
        now = clock.now()
        order_id, total, _run = place(price=100000)
        officer = make_staff("finance_officer").id
        enter(order_id, total, officer, now)
        db.session.remove()

    def piece(reference):
        transfer = Transfer(Money(300000, "CNY"), reference, bank_days.day_of(now))
        return lambda: offline.enter(order_id, transfer, reason="x", actor_id=officer, now=now).state

    answers = together(race_app, *(piece(f"P {one}") for one in range(3)))
    assert sorted(answers) == ["proposed", "proposed", "settled"]


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("kind", ["ours", "order"])
def test_money_that_staff_answer_while_its_session_is_settled_is_counted_once(race_app, kind, number):
    with race_app.app_context():
        now = clock.now()
        order_id, total, _run = place(price=128000)
        other_id, _total, _run = place(price=128000)
        attempt = open_page(order_id, total, now=now)
        paid = Session("cs_race", None, "complete", "paid", total, "pi_race", "succeeded", None, attempt.public_id)
        found = stray("txn_race", 128000, now, "pi_race")
        officer, other = make_staff("finance_officer").id, db.session.get_one(Order, other_id).public_id
        db.session.remove()
    said = Said(AnswerKind(kind), order_number=other)

    together(
        race_app,
        lambda: attempts.settle(paid, now=now) is not None,
        lambda: unmatched.answer(found, said, reason="x", actor_id=officer, now=now).state,
    )
    with race_app.app_context():
        stripe_matching.match_all(now=now)
        assert ledger.balances()["stripe_balance", "CNY"] == 128000
        assert ledger.balances().get(("unmatched_money", "CNY"), 0) == 0
        assert db.session.query(Order).filter_by(state="confirmed").count() <= 1
