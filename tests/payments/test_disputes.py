"""Disputes and refunds made elsewhere: noticed, booked once, and the place left to a person's decision."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from marketplace.enrolment import cancellations, changes, orders, places, returns, run_changes, transfers
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.run_change_models import RunChangeAnswer
from marketplace.enrolment.run_change_rules import RunChangeKind
from marketplace.enrolment.run_changes import Wanted
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.money import Money
from marketplace.payments import (
    acts,
    attempts,
    discrepancies,
    disputes,
    external_refunds,
    ledger,
    offline,
    postings,
    queues,
    reconciliation,
    refunds,
)
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.dispute_rules import FINAL, TRANSITIONS, DisputeState, PlaceDecision, next_state
from marketplace.payments.models import Refund
from marketplace.payments.offline import Transfer
from marketplace.payments.sandbox import disputes as bank
from marketplace.payments.sandbox import refunds as dashboard
from tests.factories import make_run, make_staff, sign_in
from tests.payments.test_payments import deliver, paid, place, start, told


@pytest.fixture
def order(now):
    return place(make_run(capacity=1), now=now)


def charge_of(sandbox, attempt):
    return sandbox.store.find(attempt.payment_intent_id)["latest_charge"]


def disputed(app, client, sandbox, order, now):
    attempt = paid(sandbox, order, now)
    made = bank.open_dispute(sandbox.store, charge_of(sandbox, attempt))
    deliver(app, client, sandbox.events())
    return made, db.session.query(Dispute).one()


def enrolment_of(order):
    return db.session.query(Enrolment).filter_by(person_id=order.person_id).one()


def test_a_dispute_is_noticed_and_leaves_the_place_alone(app, client, sandbox, order, now):
    _made, found = disputed(app, client, sandbox, order, now)

    assert (found.state, found.amount, found.fee_minor, found.closed_at) == ("open", order.total, bank.FEE, None)
    assert (found.reason, found.place_decision, enrolment_of(order).ended_at) == ("fraudulent", None, None)
    with pytest.raises(Refused, match="disputed"):
        cancellations.state(places.look(enrolment_of(order)), now=now)


@pytest.mark.parametrize("state", ["won", "lost"])
def test_a_dispute_ends_once_in_whatever_order_its_events_come(app, client, sandbox, order, now, state):
    is_won = state == "won"
    attempt = paid(sandbox, order, now)
    made = bank.open_dispute(sandbox.store, charge_of(sandbox, attempt))
    bank.close(sandbox.store, made["id"], is_won=is_won)
    events = sandbox.events() * 2
    random.Random(5).shuffle(events)

    deliver(app, client, events)

    found = db.session.query(Dispute).one()
    assert (found.state, found.closed_at, refunds.left(order.id).minor) == (state, now, 128000 if is_won else 0)
    assert enrolment_of(order).ended_at is None
    assert len(returns.list_facts(order.id)) == (0 if is_won else 1)


def test_staff_suspend_and_later_end_or_keep_the_place(app, client, sandbox, order, now):
    made, found = disputed(app, client, sandbox, order, now)
    public_id = found.public_id
    sign_in(client, make_staff("finance_officer"))
    assert "争议" in client.get("/staff/after-sale").text

    client.post(f"/staff/disputes/{public_id}", data={"act": "suspend", "reason": "asked"})
    assert enrolment_of(order).suspended_at == now
    assert "名额暂停" in client.get("/staff/after-sale").text
    bank.close(sandbox.store, made["id"], is_won=True)
    deliver(app, client, sandbox.events())
    assert (enrolment_of(order).suspended_at, enrolment_of(order).resumed_at) == (None, now)
    assert told(order)[-2:] == ["enrolment/place_suspended", "enrolment/place_resumed"]

    officer = make_staff("finance_officer")
    with pytest.raises(Refused, match="dispute_closed"):
        disputes.decide(public_id, PlaceDecision.SUSPEND, reason="x", actor_id=officer.id, now=now)
    disputes.decide(public_id, PlaceDecision.END, reason="x", actor_id=officer.id, now=now)
    assert (enrolment_of(order).end_reason, order.lines[0].run.seats_taken) == ("disputed", 0)


def test_a_suspended_place_ends_with_a_lost_dispute(app, client, sandbox, order, now):
    made, found = disputed(app, client, sandbox, order, now)
    disputes.decide(
        found.public_id, PlaceDecision.SUSPEND, reason="x", actor_id=make_staff("finance_officer").id, now=now
    )

    bank.close(sandbox.store, made["id"], is_won=False)
    deliver(app, client, sandbox.events())

    assert (found.place_decision, enrolment_of(order).end_reason) == ("end", "disputed")
    assert (order.lines[0].run.seats_taken, refunds.left(order.id).minor) == (0, 0)


def test_a_suspended_person_sees_why_and_changes_nothing(app, client, sandbox, order, now):
    _made, found = disputed(app, client, sandbox, order, now)
    disputes.decide(
        found.public_id, PlaceDecision.SUSPEND, reason="x", actor_id=make_staff("finance_officer").id, now=now
    )
    place_id = enrolment_of(order).public_id
    sign_in(client, order.person)

    page = client.get(f"/orders/{order.public_id}?lang=en").text
    assert "Your place is suspended" in page
    assert "tell your bank" in page
    assert f"/places/{place_id}" not in page
    assert "Your place is suspended" in client.get(f"/my/progress/{place_id}?lang=en").text
    assert "Suspended" in client.get("/my?lang=en").text
    for act in (cancellations.state, changes.check_may_defer, transfers.check_may_transfer):
        with pytest.raises(Refused, match="disputed"):
            act(places.look(enrolment_of(order)), now=now)


def test_a_place_bought_by_another_payment_outlives_a_lost_dispute(app, client, sandbox, order, now):
    """Paid by card and by bank transfer: the transfer is owed back, the card's payment is what bought the place."""
    attempt = start(order, now=now)
    officers = [make_staff("finance_officer") for _ in range(2)]
    transfer = Transfer(amount=order.total, bank_reference="T1", received_on=now.date())
    entered = offline.enter(order.id, transfer, reason="paid", actor_id=officers[0].id, now=now)
    if entered.state == "proposed":
        offline.approve(entered.public_id, reason="seen", actor_id=officers[1].id, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    made = bank.open_dispute(sandbox.store, charge_of(sandbox, attempt))
    deliver(app, client, sandbox.events())
    found = db.session.query(Dispute).one()
    disputes.decide(found.public_id, PlaceDecision.SUSPEND, reason="x", actor_id=officers[0].id, now=now)

    bank.close(sandbox.store, made["id"], is_won=False)
    deliver(app, client, sandbox.events())

    assert (found.place_decision, enrolment_of(order).ended_at) == ("keep", None)
    assert (enrolment_of(order).suspended_at, refunds.left(order.id)) == (None, order.total)


def changed(run, kind, now, **values):
    """The run is cancelled or merged while the bank decides, and the time to answer is over."""
    officer = make_staff("administrator")
    change = run_changes.announce(run.id, Wanted(kind, "Flood", **values), actor_id=officer.id, now=now)
    jobs.run_pending()
    later = change.answer_by
    clock.set_to(later)
    jobs.run_pending()
    return change, later


def answer_of(change):
    answer = db.session.query(RunChangeAnswer).filter_by(run_change_id=change.id).one()
    return answer.state, answer.problem


@pytest.mark.parametrize("is_won", [True, False])
@pytest.mark.parametrize("is_suspended", [True, False])
def test_a_place_in_a_cancelled_run_is_settled_when_the_bank_has_decided(
    app, client, sandbox, order, now, is_won, is_suspended
):
    made, found = disputed(app, client, sandbox, order, now)
    if is_suspended:
        disputes.decide(
            found.public_id, PlaceDecision.SUSPEND, reason="x", actor_id=make_staff("finance_officer").id, now=now
        )
    change, later = changed(order.lines[0].run, RunChangeKind.CANCELLED, now)
    assert (answer_of(change), found.place_decision) == (
        ("failed", "disputed"),
        "suspend" if is_suspended else None,
    )
    sign_in(client, make_staff("finance_officer"))
    assert "The run is cancelled. When the bank has decided" in client.get("/staff/after-sale?lang=en").text

    bank.close(sandbox.store, made["id"], is_won=is_won)
    deliver(app, client, sandbox.events())
    jobs.run_pending()
    disputes.note_ended_places(now=later)
    refunds.take_up_refunds(now=later)
    jobs.run_pending()

    db.session.expire_all()
    assert (answer_of(change), change.finished_at) == (("settled", None), later)
    assert enrolment_of(order).ended_at == later
    assert order.lines[0].run.seats_taken == 0
    # Every fen has gone back once: by us, or by the bank.
    assert refunds.left(order.id).minor == 0
    assert [refund.state for refund in db.session.query(Refund)] == (["succeeded"] if is_won else [])
    assert found.place_decision == ("keep" if is_suspended and is_won else "end")
    assert disputes.note_ended_places(now=later) == 0


@pytest.mark.parametrize(("is_won", "moved"), [(True, True), (False, False)])
def test_a_place_in_a_merged_run_goes_along_unless_its_money_went_back(app, client, sandbox, order, now, is_won, moved):
    made, found = disputed(app, client, sandbox, order, now)
    run = order.lines[0].run
    target = make_run(run.course, capacity=5)
    change, later = changed(run, RunChangeKind.MERGED, now, target_run_id=target.id)
    bank.close(sandbox.store, made["id"], is_won=is_won)
    deliver(app, client, sandbox.events())
    jobs.run_pending()

    db.session.expire_all()
    assert answer_of(change)[0] == ("settled" if moved else "failed")
    if not moved:
        # Staff say what becomes of the place, and the rest follows.
        disputes.decide(
            found.public_id, PlaceDecision.END, reason="x", actor_id=make_staff("finance_officer").id, now=later
        )
        jobs.run_pending()
        assert (answer_of(change)[0], enrolment_of(order).end_reason) == ("settled", "disputed")


def test_a_refund_made_in_the_dashboard_is_booked_and_asks_about_the_place(app, client, sandbox, order, now):
    attempt = paid(sandbox, order, now)
    dashboard.create(sandbox.store, {"charge": charge_of(sandbox, attempt), "amount": "28000"})

    deliver(app, client, sandbox.events() * 2)

    [refund] = db.session.query(Refund)
    assert (refund.state, refund.amount.minor, refund.refund_due.source) == ("succeeded", 28000, "stripe_dashboard")
    assert refunds.left(order.id).minor == 100000
    assert ledger.balances()["stripe_balance", "CNY"] == 100000
    assert [event.kind for event in order.events][-2:] == ["refunded_outside", "refunded"]
    assert [found.id for found in external_refunds.list_undecided()] == [refund.id]
    sign_in(client, make_staff("finance_officer"))
    assert "280.00" in client.get("/staff/after-sale").text
    client.post(f"/staff/external-refunds/{refund.public_id}", data={"act": "end", "reason": "agreed"})
    assert enrolment_of(order).ended_at == now
    assert external_refunds.list_undecided() == []


def acts_of(order):
    return [(act.kind, act.reason, act.details["decision"]) for act in acts.list_of_order(order.id)]


def test_a_word_about_a_dispute_needs_a_reason_and_is_kept(app, client, sandbox, order, now):
    _made, found = disputed(app, client, sandbox, order, now)
    public_id, officer = found.public_id, make_staff("finance_officer")
    sign_in(client, officer)
    address = f"/staff/disputes/{public_id}?lang=en"
    client.post(address, data={"act": "keep"})
    assert "Say why" in client.get("/staff/after-sale?lang=en").text
    assert (found.place_decision, acts_of(order)) == (None, [])

    client.post(address, data={"act": "keep", "reason": "known to us"})
    client.post(address, data={"act": "end", "reason": "no answer"})
    kept = [("dispute_decided", "known to us", "keep"), ("dispute_decided", "no answer", "end")]
    assert (acts_of(order), found.decided_by_id) == (kept, officer.id)
    client.post(address, data={"act": "keep", "reason": "too late"})
    page = client.get("/staff/after-sale?lang=en").text
    assert ("This place has ended already." in page, "Keep the place" in page) == (True, False)
    assert (found.place_decision, acts_of(order)) == ("end", kept)
    assert "no answer" in client.get(f"/staff/orders/{order.public_id}?lang=en").text


def refunded_outside(app, client, sandbox, order, now):
    attempt = paid(sandbox, order, now)
    dashboard.create(sandbox.store, {"charge": charge_of(sandbox, attempt), "amount": "28000"})
    deliver(app, client, sandbox.events())
    return db.session.query(Refund).one()


@pytest.mark.parametrize(("first", "second"), [("keep", "end"), ("end", "keep")])
def test_an_outside_refund_is_decided_about_once_with_a_reason(app, client, sandbox, order, now, first, second):
    refund = refunded_outside(app, client, sandbox, order, now)
    sign_in(client, make_staff("finance_officer"))
    address = f"/staff/external-refunds/{refund.public_id}?lang=en"
    client.post(address, data={"act": first})
    assert (refund.place_decision, acts_of(order)) == (None, [])

    for _twice in range(2):
        client.post(address, data={"act": first, "reason": "agreed by phone"})
    client.post(address, data={"act": second, "reason": "or not"})
    assert "Somebody has decided about this already." in client.get("/staff/after-sale?lang=en").text
    assert (refund.place_decision, acts_of(order)) == (first, [("outside_refund_decided", "agreed by phone", first)])
    assert [event.kind for event in order.events].count("outside_refund_decided") == 1
    assert (enrolment_of(order).ended_at is None) == (first == "keep")


def test_a_place_that_is_over_is_not_kept_after_an_outside_refund(app, client, sandbox, order, now):
    refund = refunded_outside(app, client, sandbox, order, now)
    officer = make_staff("finance_officer").id
    places.end_of_order(order.id, "refunded", now=now, actor_id=officer)
    with pytest.raises(Refused, match="place_ended"):
        external_refunds.decide(refund.public_id, ends_place=False, reason="x", actor_id=officer, now=now)
    external_refunds.decide(refund.public_id, ends_place=True, reason="x", actor_id=officer, now=now)
    assert external_refunds.list_undecided() == []


def test_places_that_are_over_are_read_a_page_at_a_time(app, client, sandbox, now, monkeypatch):
    monkeypatch.setattr(disputes, "AT_ONCE", 2)
    run = make_run(capacity=5)
    ended = [place(run, now=now) for _ in range(5)]
    for one in ended:
        bank.open_dispute(sandbox.store, charge_of(sandbox, paid(sandbox, one, now)))
    deliver(app, client, sandbox.events())
    for one in ended:
        places.end_of_order(one.id, "withdrawn", now=now, actor_id=None)

    assert disputes.note_ended_places(now=now) == 5
    assert disputes.note_ended_places(now=now) == 0
    assert {found.place_decision for found in db.session.query(Dispute)} == {"end"}


def test_nobody_decides_about_their_own_place(app, client, sandbox, now):
    order = place(make_run(), now=now, person=make_staff("finance_officer"))
    _made, found = disputed(app, client, sandbox, order, now)
    with pytest.raises(Refused, match="own_order"):
        disputes.decide(found.public_id, PlaceDecision.KEEP, reason="x", actor_id=order.person_id, now=now)
    other = place(make_run(), now=now, person=order.person)
    refund = refunded_outside(app, client, sandbox, other, now)
    with pytest.raises(Refused, match="own_order"):
        external_refunds.decide(refund.public_id, ends_place=False, reason="x", actor_id=order.person_id, now=now)


def test_our_own_refund_is_not_taken_for_one_from_outside(app, client, sandbox, order, now):
    paid(sandbox, order, now)
    officer = make_staff("finance_officer")
    [refund] = refunds.request_refund(
        order.id, Money(100, "CNY"), reason="x", ends_place=False, actor_id=officer.id, now=now
    )
    sandbox.store.turn("timeout_after", "1")
    jobs.run_pending()
    deliver(app, client, sandbox.events())

    assert (db.session.query(Refund).count(), refund.state) == (1, "succeeded")
    assert external_refunds.list_undecided() == []


def late(sandbox, order, now):
    """The payment of an order whose seat went to somebody else meanwhile: it bought nothing and is owed back."""
    attempt = start(order, now=now)
    orders.cancel_order(order.id, actor_id=order.person_id, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    return attempt


def settled(now):
    """The refund of ours fails, since the money is gone; what the books and the queue say then."""
    jobs.run_pending()
    postings.post_facts()
    reconciliation.reconcile(now=now)
    balances = {name: amount for (name, _currency), amount in ledger.balances().items() if amount}
    return balances, [found.kind for found in discrepancies.list_open()]


def test_a_dashboard_refund_of_money_that_bought_nothing_pays_what_was_owed(app, client, sandbox, order, now):
    attempt = late(sandbox, order, now)
    dashboard.create(sandbox.store, {"charge": charge_of(sandbox, attempt)})
    deliver(app, client, sandbox.events())

    assert settled(now) == ({}, [])
    assert [(fact.reason, fact.voided_at is None) for fact in returns.list_facts(order.id)] == [
        ("seat_gone", False),
        ("never_sold", True),
    ]
    assert external_refunds.list_undecided() == []


def test_a_lost_dispute_of_money_that_bought_nothing_pays_what_was_owed(app, client, sandbox, order, now):
    attempt = late(sandbox, order, now)
    made = bank.open_dispute(sandbox.store, charge_of(sandbox, attempt))
    deliver(app, client, sandbox.events())
    [dispute] = disputes.list_recent()
    assert (dispute.place_decision, dispute.decided_at) == ("keep", now)
    # Stripe gives nothing back while the bank decides, so staff are told of a refund that failed.
    assert settled(now)[1] == ["refund_failed"]
    bank.close(sandbox.store, made["id"], is_won=False)
    deliver(app, client, sandbox.events())

    assert settled(now) == ({}, [])


def test_what_is_left_of_money_that_bought_nothing_is_sent_again(app, client, sandbox, order, now):
    attempt = late(sandbox, order, now)
    dashboard.create(sandbox.store, {"charge": charge_of(sandbox, attempt), "amount": "28000"})
    deliver(app, client, sandbox.events())
    assert settled(now) == ({"stripe_balance": 100000, "refunds_payable": -100000}, ["refund_failed"])

    [found] = discrepancies.list_open()
    queues.retry_discrepancy(found.public_id, reason="rest", actor_id=make_staff("finance_officer").id, now=now)

    assert settled(now) == ({}, [])


def test_a_dispute_of_nothing_of_ours_is_unknown(sandbox, now):
    assert disputes.sync("dp_unknown", now=now) is False


def test_final_states_lead_nowhere():
    assert {state for state, following in TRANSITIONS.items() if not following} == FINAL
    assert next_state("won", "lost") is None
    assert next_state("open", "warning_needs_response") is None
    assert next_state("inquiry", "needs_response") is DisputeState.OPEN


def test_the_essay_draws_the_states_of_a_dispute():
    essay = Path(__file__).resolve().parents[2] / "docs" / "refunds.md"
    diagrams = re.findall(r"```mermaid\n(.*?)\n```", essay.read_text(encoding="utf-8"), re.DOTALL)
    lines = [f"    {state} --> {after}" for state, following in TRANSITIONS.items() for after in sorted(following)]
    assert diagrams[2] == "\n".join(["stateDiagram-v2", *lines])
