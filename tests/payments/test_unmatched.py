from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from marketplace.enrolment.models import RefundDue
from marketplace.foundation import bank_days, clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.money import Money
from marketplace.payments import attempts, discrepancies, ledger, offline, queues, unmatched
from marketplace.payments.desk_models import StaffAct
from marketplace.payments.models import Discrepancy, LedgerTransaction, PaymentAttempt, Refund
from marketplace.payments.sandbox import balance, checkout
from marketplace.payments.sandbox import refunds as dashboard
from marketplace.payments.stripe_models import StripeTransaction
from marketplace.payments.unmatched import Received, Said
from marketplace.payments.unmatched_models import AnswerKind, BankMoney, UnmatchedAnswer
from tests.factories import make_run, make_staff
from tests.payments.test_payments import place, start
from tests.payments.test_stripe_matching import reconcile

DAY = timedelta(days=1)


def record(officer, now, *, minor=128000, reference="ICBC 1", days=5):
    received = Received(Money(minor, "CNY"), reference, bank_days.day_of(now - days * DAY), "川锦旅行社")
    return unmatched.record(received, reason="fits nothing", actor_id=officer.id, now=now)


def waiting():
    [found] = discrepancies.list_open(queues.KINDS["unmatched"])
    return found


def say(found, officer, now, kind, **values):
    said = Said(AnswerKind(kind), **values)
    return unmatched.answer(found.public_id, said, reason="looked it up", actor_id=officer.id, now=now)


def held():
    return {account: minor for (account, _currency), minor in ledger.balances().items() if minor}


def noon(now, days):
    return datetime.combine(bank_days.day_of(now - days * DAY), time(12), bank_days.ZONE)


@pytest.mark.parametrize("minor", [99990, 100010])
def test_what_fits_no_order_is_recorded_on_the_banks_day_and_waits(officer, now, minor):
    record(officer, now, minor=minor)

    assert held() == {"bank": minor, "unmatched_money": -minor}
    posted = db.session.query(LedgerTransaction).one()
    assert (posted.occurred_at, posted.recorded_at) == (noon(now, 5), now)
    found = waiting()
    assert found.theirs == Money(minor, "CNY")
    assert queues.counts().unmatched == 1
    [act] = db.session.query(StaffAct)
    assert (act.kind, act.person_id, act.details["bank_reference"]) == ("bank_money_recorded", officer.id, "ICBC1")


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"minor": 0}, "amount"), ({"reference": " "}, "bank_reference"), ({"days": -1}, "received_on")],
)
def test_what_is_no_transfer_is_not_recorded(officer, now, changes, field):
    with pytest.raises(Invalid) as refused:
        record(officer, now, **changes)
    assert (list(refused.value.fields), db.session.query(BankMoney).count()) == ([field], 0)


def test_a_transfer_is_known_once(officer, now):
    order = place(make_run(), now=now)
    record(officer, now)
    with pytest.raises(Refused, match="recorded"):
        record(officer, now, reference="icbc1")
    entered = {"reason": "x", "actor_id": officer.id, "now": now}
    with pytest.raises(Refused, match="recorded"):
        offline.enter(order.id, offline.Transfer(order.total, "ICBC 1", bank_days.day_of(now)), **entered)
    offline.enter(order.id, offline.Transfer(order.total, "ICBC 2", bank_days.day_of(now)), **entered)
    with pytest.raises(Refused, match="entered_already"):
        record(officer, now, reference="ICBC 2")


def test_it_is_assigned_to_the_order_whose_due_it_meets(officer, now):
    order = place(make_run(), now=now - 9 * DAY)
    record(officer, now)
    found = waiting()
    say(found, officer, now, "order", order_number=f" {order.public_id} ")

    assert held() == {"bank": 128000, "unearned_revenue": -128000}
    attempt = db.session.query(PaymentAttempt).one()
    assert (order.state, attempt.method, attempt.paid_at) == ("confirmed", "offline", noon(now, 5))
    assert (found.resolved_at, found.resolved_by_id, found.note) == (now, officer.id, "looked it up")
    with pytest.raises(Refused, match="not_waiting"):
        say(found, officer, now, "ours")


def test_assigned_to_a_paid_order_it_is_owed_back(officer, now):
    order = place(make_run(), now=now - 9 * DAY)
    offline.enter(
        order.id,
        offline.Transfer(order.total, "first", bank_days.day_of(now)),
        reason="x",
        actor_id=officer.id,
        now=now,
    )
    record(officer, now, minor=100010)
    say(waiting(), officer, now, "order", order_number=order.public_id)
    jobs.run_pending()

    assert db.session.query(RefundDue).one().reason == "paid_twice"
    assert db.session.query(Refund).one().amount_minor == 100010
    assert held() == {"bank": 228010, "unearned_revenue": -128000, "refunds_payable": -100010}


@pytest.mark.parametrize("number", ["", "nothing", "other"])
def test_an_order_must_be_due_the_amount(officer, now, number):
    order = place(make_run(), now=now)
    record(officer, now, minor=127999)
    with pytest.raises(Invalid) as refused:
        say(waiting(), officer, now, "order", order_number=order.public_id if number == "other" else number)
    assert (list(refused.value.fields), db.session.query(UnmatchedAnswer).count()) == (["order_number"], 0)


def test_it_is_sent_back_at_the_bank(officer, now):
    record(officer, now)
    found = waiting()
    day = bank_days.day_of(now - 2 * DAY)
    for wrong, field in (
        ({"sent_on": day}, "bank_reference"),
        ({"bank_reference": "B"}, "sent_on"),
        ({"bank_reference": "B", "sent_on": bank_days.day_of(now - 6 * DAY)}, "sent_on"),
        ({"bank_reference": "B", "sent_on": bank_days.day_of(now + DAY)}, "sent_on"),
    ):
        with pytest.raises(Invalid) as refused:
            say(found, officer, now, "returned", **wrong)
        assert list(refused.value.fields) == [field]
    answer = say(found, officer, now, "returned", bank_reference="b 7", sent_on=day)

    assert (answer.bank_reference, held()) == ("B7", {})
    posted = db.session.query(LedgerTransaction).filter_by(kind="unmatched_returned").one()
    assert posted.occurred_at == noon(now, 2)


@pytest.mark.parametrize(("kind", "left"), [("ours", {"bank": 128000, "other_income": -128000}), ("mistake", {})])
def test_it_is_an_income_or_never_came(officer, now, kind, left):
    money = record(officer, now)
    say(waiting(), officer, now, kind)

    assert held() == left
    assert queues.counts().unmatched == 0
    if kind == "mistake":
        assert money.voided_at == now
        assert record(officer, now).amount_minor == 128000


def test_above_the_limit_a_second_officer_agrees_or_turns_it_down(officer, now):
    record(officer, now, minor=500001)
    found = waiting()
    first = say(found, officer, now, "ours")
    assert (first.state, held()["unmatched_money"]) == ("proposed", -500001)
    with pytest.raises(Refused, match="uq_unmatched_answer_standing"):
        say(found, officer, now, "ours")
    with pytest.raises(Refused, match="four_eyes"):
        unmatched.approve(first.public_id, reason="x", actor_id=officer.id, now=now)

    second = make_staff("finance_officer")
    unmatched.decline(first.public_id, reason="no", actor_id=second.id, now=now)
    again = say(found, officer, now, "returned", bank_reference="B", sent_on=bank_days.day_of(now))
    unmatched.approve(again.public_id, reason="seen", actor_id=second.id, now=now)
    assert (first.state, again.state, held()) == ("declined", "settled", {})
    assert [act.kind for act in db.session.query(StaffAct).order_by(StaffAct.id)] == [
        "bank_money_recorded",
        "unmatched_answered",
        "unmatched_declined",
        "unmatched_answered",
        "unmatched_approved",
    ]


def stray(sandbox, order, now):
    """A payment at Stripe that we know nothing of; its fee is left out of what is held."""
    attempt = start(order, now=now)
    checkout.try_to_pay(sandbox.store, sandbox.session_of(attempt), method="card")
    intent = sandbox.session_of(attempt)["payment_intent"]
    attempt.session_id, attempt.state, attempt.payment_intent_id = None, "expired", None
    db.session.flush()
    reconcile()
    return intent


def test_a_note_alone_does_not_close_what_stands_in_the_books(sandbox, officer, now):
    stray(sandbox, place(make_run(), now=now), now)
    found = waiting()
    with pytest.raises(Refused, match="say_what"):
        queues.resolve_discrepancy(found.public_id, reason="seen", actor_id=officer.id, now=clock.now())
    assert found.resolved_at is None
    with pytest.raises(NotFound):
        say(found, officer, clock.now(), "mistake")


def test_a_movement_at_stripe_is_assigned_to_its_order(sandbox, officer, now):
    order = place(make_run(), now=now)
    intent = stray(sandbox, order, now)
    say(waiting(), officer, clock.now(), "order", order_number=order.public_id)

    fee = balance.fee_of(128000)
    expected = {"stripe_balance": 128000 - fee, "processor_fee": fee, "unearned_revenue": -128000}
    assert (order.state, held()) == ("confirmed", expected)
    made = db.session.query(PaymentAttempt).filter_by(payment_intent_id=intent).one()
    assert (made.method, made.state) == ("stripe", "paid")
    reconcile()
    assert (held(), discrepancies.list_open()) == (expected, [])


@pytest.mark.parametrize("kind", ["ours", "returned"])
def test_a_movement_at_stripe_is_said_to_be_ours_or_sent_back(sandbox, officer, now, kind):
    stray(sandbox, place(make_run(), now=now), now)
    values = {"bank_reference": "B", "sent_on": bank_days.day_of(clock.now())} if kind == "returned" else {}
    say(waiting(), officer, clock.now(), kind, **values)
    reconcile()

    fee = balance.fee_of(128000)
    other = {"other_income": -128000} if kind == "ours" else {"bank": -128000}
    assert held() == {"stripe_balance": 128000 - fee, "processor_fee": fee} | other
    assert db.session.query(StripeTransaction).one().state == "matched"


def test_what_stripe_gave_back_by_hand_closes_both_movements(sandbox, officer, now):
    intent = stray(sandbox, place(make_run(), now=now), now)
    dashboard.create(sandbox.store, {"payment_intent": intent, "amount": "128000"})
    reconcile()
    came, left = discrepancies.list_open(queues.KINDS["unmatched"])
    assert [one.theirs.minor for one in (came, left)] == [128000, -128000]
    assert unmatched.kinds_for(left) == [AnswerKind.OURS]
    say(came, officer, clock.now(), "returned", bank_reference=left.reference)

    assert discrepancies.list_open() == []
    assert held().get("unmatched_money", 0) == 0
    assert db.session.query(Discrepancy).filter_by(resolved_by_id=officer.id).count() == 2
    reconcile()
    assert held().get("unmatched_money", 0) == 0


def test_an_answer_is_void_when_the_fact_turns_up_first(sandbox, officer, now):
    order = place(make_run(price_minor=600000), now=now)
    attempt = start(order, now=now)
    checkout.try_to_pay(sandbox.store, sandbox.session_of(attempt), method="card")
    attempt.payment_intent_id = None
    reconcile()
    answer = say(waiting(), officer, clock.now(), "ours")
    attempts.settle_returned(order.id, now=clock.now())
    reconcile()
    db.session.refresh(answer)
    assert (answer.state, answer.decided_by_id) == ("declined", None)
    with pytest.raises(Refused, match="decided_already"):
        unmatched.approve(answer.public_id, reason="x", actor_id=make_staff("finance_officer").id, now=clock.now())
    assert (held()["unearned_revenue"], held().get("unmatched_money", 0)) == (-600000, 0)


def test_a_fact_of_another_amount_leaves_one_thing_to_find_out(sandbox, officer, now):
    order = place(make_run(), now=now)
    sandbox.store.turn("balance_differs", "1")
    attempt = start(order, now=now)
    checkout.try_to_pay(sandbox.store, sandbox.session_of(attempt), method="card")
    attempt.payment_intent_id = None
    reconcile()
    found = waiting()
    attempts.settle_returned(order.id, now=clock.now())
    reconcile()

    assert [one.kind for one in discrepancies.list_open()] == ["amount_differs"]
    assert held().get("unmatched_money", 0) == 0
    with pytest.raises(Refused, match="not_waiting"):
        say(found, officer, clock.now(), "ours")


def test_nobody_assigns_money_to_an_order_of_their_own(officer, now):
    order = place(make_run(), now=now, person=officer)
    record(officer, now)
    with pytest.raises(Refused, match="own_order"):
        say(waiting(), officer, now, "order", order_number=order.public_id)
    assert db.session.query(UnmatchedAnswer).count() == 0
