from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.enrolment import orders
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.payments import attempts, discrepancies, ledger, postings, refunds, stripe_gateway, stripe_matching
from marketplace.payments.models import Discrepancy, LedgerTransaction, PaymentAttempt, Refund
from marketplace.payments.sandbox import balance, checkout
from marketplace.payments.sandbox import disputes as bank
from marketplace.payments.sandbox import refunds as dashboard
from marketplace.payments.stripe_gateway import RefundAnswer
from marketplace.payments.stripe_models import StripeTransaction
from tests.factories import make_run, make_staff
from tests.payments.test_disputes import disputed
from tests.payments.test_payments import deliver, paid, place, start


@pytest.fixture
def order(now):
    return place(make_run(), now=now)


def reconcile(after=timedelta(minutes=30)):
    later = clock.now() + after
    clock.set_to(later)
    return stripe_matching.reconcile(now=later)


def own(account):
    return ledger.balances().get((account, "CNY"), 0)


def found():
    return [(one.kind, one.details.get("theirs"), one.details.get("ours")) for one in discrepancies.list_open()]


def test_a_payment_its_fee_a_refund_and_a_payout_add_up(sandbox, order, now):
    paid(sandbox, order, now)
    officer = make_staff("finance_officer")
    refunds.request_refund(order.id, Money(28000, "CNY"), reason="x", ends_place=False, actor_id=officer.id, now=now)
    jobs.run_pending()
    [payout] = balance.pay_out(sandbox.store, is_early=True)

    assert reconcile()["matched"] == 3
    fee = balance.fee_of(128000)
    assert (own("stripe_balance"), own("processor_fee"), own("bank")) == (0, fee, 0)
    assert own("payouts_in_transit") == payout["amount"] == 100000 - fee
    assert found() == []
    assert own("unearned_revenue") == -100000
    posted = db.session.query(LedgerTransaction).filter_by(kind="processor_fee").one()
    assert posted.order_id == order.id

    sandbox.store.save(payout | {"status": "paid"})
    reconcile(timedelta(days=3))
    assert (own("payouts_in_transit"), own("bank")) == (0, payout["amount"])
    before = db.session.query(LedgerTransaction).count()
    reconcile(timedelta(days=1))
    assert db.session.query(LedgerTransaction).count() == before


def test_a_payout_that_comes_back_is_taken_from_the_bank_again(sandbox, order, now):
    paid(sandbox, order, now)
    [payout] = balance.pay_out(sandbox.store, is_early=True)
    sandbox.store.save(payout | {"status": "paid"})
    reconcile(timedelta(days=3))
    failed = sandbox.store.save(payout | {"status": "failed"})
    back = balance.book(sandbox.store, "payout_failure", failed, payout["amount"])
    sandbox.store.save(back | {"created": int(clock.now().timestamp())})
    reconcile(timedelta(hours=1))

    assert (own("bank"), own("payouts_in_transit"), own("stripe_balance")) == (0, 0, payout["amount"])
    assert found() == []


def test_an_amount_that_differs_waits_for_staff_with_both_amounts(sandbox, order, now):
    sandbox.store.turn("balance_differs", "1")
    paid(sandbox, order, now)
    reconcile()

    assert found() == [("amount_differs", 127999, 128000)]


def test_what_we_do_not_know_is_money_without_a_fact_until_its_fact_turns_up(sandbox, order, now):
    attempt = start(order, now=now)
    checkout.try_to_pay(sandbox.store, sandbox.session_of(attempt), method="card")
    intent, attempt.payment_intent_id = sandbox.session_of(attempt)["payment_intent"], None
    reconcile()
    assert found() == [("unknown_movement", 128000, None)]
    assert (own("unmatched_money"), own("stripe_balance")) == (-128000, 128000 - balance.fee_of(128000))

    paid_late(order, attempt, intent)
    reconcile()
    assert found() == []
    assert own("unmatched_money") == 0
    assert own("stripe_balance") == 128000 - balance.fee_of(128000)
    assert db.session.query(Discrepancy).one().note == discrepancies.SETTLED_BY_ITSELF


def paid_late(order, attempt, intent):
    from marketplace.payments import attempts  # noqa: PLC0415 - beside its only use

    attempts.settle_returned(order.id, now=clock.now())
    assert (attempt.state, attempt.payment_intent_id) == ("paid", intent)


def test_a_payment_stripe_has_and_we_have_not_booked_is_missing_here(sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    attempt.payment_intent_id = sandbox.session_of(attempt)["payment_intent"]
    reconcile()

    assert found() == [("missing_here", 128000, 128000)]


def test_a_payment_stripe_does_not_list_is_missing_there(sandbox, order, now):
    attempt = paid(sandbox, order, now)
    sandbox.store.connection.execute("DELETE FROM object WHERE kind = 'balance_transaction'")
    reconcile(timedelta(hours=2))
    assert found() == []

    assert reconcile(timedelta(days=2))["missing_at_stripe"] == 1
    [one] = discrepancies.list_open()
    assert (one.kind, one.reference) == ("missing_at_stripe", f"payment:{attempt.public_id}")


def test_a_balance_in_another_currency_is_changed_at_stripes_rate(sandbox, order, now):
    paid(sandbox, order, now)
    [row] = sandbox.store.list_kind("balance_transaction")
    sandbox.store.save(row | {"currency": "usd", "amount": 17920, "fee": 520, "net": 17400, "exchange_rate": 0.14})
    reconcile()

    assert found() == []
    held = {currency: minor for (account, currency), minor in ledger.balances().items() if account == "stripe_balance"}
    assert held == {"CNY": 0, "USD": 17400}


def test_a_currency_that_is_not_ours_is_left_to_staff(sandbox, order, now):
    paid(sandbox, order, now)
    [row] = sandbox.store.list_kind("balance_transaction")
    sandbox.store.save(row | {"currency": "isk"})
    reconcile()

    assert found() == [("unknown_movement", 128000, None)]
    assert db.session.query(StripeTransaction).one().state == "unknown"
    assert db.session.query(PaymentAttempt).one().state == "paid"


@pytest.mark.parametrize(("is_won", "kept"), [(True, 128000), (False, 0)])
def test_a_dispute_holds_the_money_until_the_bank_decides(app, client, sandbox, order, now, is_won, kept):
    made, _dispute = disputed(app, client, sandbox, order, now)
    assert [postings.post_facts(), postings.post_facts()] == [1, 0]
    assert (own("disputes_held"), own("stripe_balance")) == (128000, 0)

    bank.close(sandbox.store, made["id"], is_won=is_won)
    deliver(app, client, sandbox.events())
    reconcile()
    postings.post_facts()
    fees = balance.fee_of(128000) + bank.FEE
    assert (own("disputes_held"), own("processor_fee")) == (0, fees)
    assert (own("stripe_balance"), own("unearned_revenue")) == (kept - fees, -kept)
    assert found() == []


def test_a_refund_made_outside_is_noticed_though_no_event_told_of_it(sandbox, order, now):
    attempt = paid(sandbox, order, now)
    dashboard.create(sandbox.store, {"payment_intent": attempt.payment_intent_id, "amount": "28000"})
    reconcile()

    refund = db.session.query(Refund).one()
    assert (refund.state, refund.amount.minor) == ("succeeded", 28000)
    assert found() == []
    assert own("stripe_balance") == 100000 - balance.fee_of(128000)


def test_money_that_was_unknown_counts_once_when_its_fact_turns_up_in_steps(sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    reconcile()
    assert own("unmatched_money") == -128000

    attempt = db.session.get(PaymentAttempt, attempt.id)
    attempt.payment_intent_id = sandbox.session_of(attempt)["payment_intent"]
    db.session.flush()
    stripe_matching.match_all(now=clock.now())
    attempts.settle_returned(order.id, now=clock.now())
    stripe_matching.match_all(now=clock.now())
    assert own("unmatched_money") == 0
    assert own("stripe_balance") == 128000 - balance.fee_of(128000)


def test_money_that_bought_nothing_is_owed_back_until_somebody_sends_it(sandbox, order, now):
    attempt = start(order, now=now)
    orders.cancel_order(order.id, actor_id=None, now=now)
    sandbox.pay(attempt)
    attempts.settle(stripe_gateway.retrieve_session(attempt.session_id), now=now)
    refunds.take_up_refunds(now=now)
    refund = db.session.query(Refund).one()
    refunds.book(refund.id, RefundAnswer(id="", status="failed", failure_code="x"), now=now)

    asked = {"payment_intent": attempt.payment_intent_id, "amount": 28000}
    refunds.sync(dashboard.create(sandbox.store, asked)["id"], now=now)
    assert (own("refunds_payable"), own("unearned_revenue")) == (-100000, 0)
