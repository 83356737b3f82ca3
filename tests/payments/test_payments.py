from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from flask import render_template

from marketplace.enrolment import orders, rules, waiting
from marketplace.enrolment.models import Enrolment, RefundDue
from marketplace.enrolment.rules import RunFull
from marketplace.enrolment.seat_models import First
from marketplace.foundation import clock, ids, jobs
from marketplace.foundation.database import add, db
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import speaking
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.payments import attempts, discrepancies, ledger, reconciliation, refunds, stripe_gateway
from marketplace.payments.models import Discrepancy, LedgerTransaction, PaymentAttempt, Refund, StripeEvent
from tests.buying import place_order
from tests.factories import make_person, make_run, make_staff, sign_in
from tests.payments.conftest import signed

BACK = {"return_url": "http://localhost/back", "cancel_url": "http://localhost/cancel"}


@pytest.fixture
def order(now):
    return place(make_run(capacity=1), now=now)


def place(run, *, now, person=None):
    someone = person or make_person()
    return place_order(run.id, someone.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)


def start(order, *, now):
    attempts.start_payment(order.id, **BACK, now=now)
    return db.session.query(PaymentAttempt).filter_by(order_id=order.id).order_by(PaymentAttempt.id.desc()).first()


def deliver(app, client, events):
    for event in events:
        payload = json.dumps(event).encode()
        answer = client.post("/webhooks/stripe", data=payload, headers=signed(app, payload, at=int(time.time())))
        assert answer.status_code == 200
    jobs.run_pending()


def told(order):
    """The messages of the mails the buyer got, oldest first."""
    query = db.session.query(OutgoingMail).filter_by(recipient=order.person.email)
    return [mail.message for mail in query.order_by(OutgoingMail.id)]


def test_a_payment_enrols_once_however_its_events_arrive(app, client, sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.decline(attempt)
    sandbox.pay(attempt)
    events = sandbox.events() * 2
    random.Random(7).shuffle(events)

    deliver(app, client, events)

    assert (order.state, attempt.state) == ("confirmed", "paid")
    assert db.session.query(Enrolment).filter_by(person_id=order.person_id).count() == 1
    assert ledger.balances() == {
        ("stripe_balance", "CNY"): order.total_minor,
        ("unearned_revenue", "CNY"): -order.total_minor,
    }


def test_pressing_pay_twice_leads_to_one_page(sandbox, order, now):
    first = attempts.start_payment(order.id, **BACK, now=now)

    assert attempts.start_payment(order.id, **BACK, now=now) == first
    assert len(sandbox.store.list_kind("checkout.session")) == 1


def test_an_answer_lost_on_its_way_makes_no_second_page(sandbox, order, now):
    sandbox.store.turn("timeout_after", "1")

    start(order, now=now)
    assert len(sandbox.store.list_kind("checkout.session")) == 1


def test_stripe_out_of_reach_is_said_and_can_be_tried_again(sandbox, order, now):
    sandbox.store.turn("fail_before", "9")
    with pytest.raises(Refused, match="payments_unreachable"):
        start(order, now=now)

    sandbox.store.turn("fail_before", "0")
    assert start(order, now=now).state == "open"
    assert db.session.query(PaymentAttempt).count() == 1


def test_the_returning_person_need_not_wait_for_the_webhook(client, sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    sign_in(client, order.person)

    page = client.get(f"/orders/{order.public_id}/returned", follow_redirects=True).text
    assert "报名成功" in page


def test_the_pay_button_leads_to_the_hosted_page(client, sandbox, order):
    sign_in(client, order.person)

    answer = client.post(f"/orders/{order.public_id}/pay")
    assert answer.status_code == 303
    assert answer.location.startswith(f"{sandbox.address}/pay/cs_test_")


def test_delayed_money_is_pending_and_then_enrols(app, client, sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.delay(attempt)
    deliver(app, client, sandbox.events())
    assert (order.state, attempt.state) == ("payment_pending", "processing")

    sandbox.settle(attempt)
    deliver(app, client, sandbox.events())
    assert (order.state, attempt.state) == ("confirmed", "paid")


def test_delayed_money_that_fails_lets_the_person_pay_again(app, client, sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.delay(attempt)
    deliver(app, client, sandbox.events())
    sandbox.settle(attempt, failure="card_declined")
    deliver(app, client, sandbox.events())

    assert (order.state, attempt.state) == ("awaiting_payment", "failed")
    assert start(order, now=now).public_id != attempt.public_id


def test_money_for_a_seat_that_is_gone_goes_back_by_itself(app, client, sandbox, order, now):
    attempt = start(order, now=now)
    late = now + rules.HOLD_FOR
    place(order.lines[0].run, now=late)
    clock.set_to(late)
    sandbox.pay(attempt)
    deliver(app, client, sandbox.events())

    refund = db.session.query(Refund).one()
    assert (refund.state, refund.amount, refund.reason) == ("succeeded", order.total, "seat_gone")
    assert set(ledger.balances().values()) == {0}
    assert db.session.query(RefundDue).one().picked_up_at == late
    deliver(app, client, sandbox.events())
    assert db.session.query(Refund).count() == 1
    assert told(order) == ["payments/refund_due", "payments/refunded"]


@pytest.mark.parametrize(
    ("after", "is_rival", "state", "came"),
    [
        (rules.HOLD_FOR - timedelta(microseconds=1), True, "confirmed", 1),
        (rules.HOLD_FOR, False, "confirmed", 1),
        (rules.HOLD_FOR, True, "expired", 0),
    ],
)
def test_a_hold_that_ends_while_the_payment_page_is_open(sandbox, order, now, after, is_rival, state, came):
    """Paid in the last moment of the hold, after it with the seat still free, and after somebody else took it."""
    attempt, run = start(order, now=now), order.lines[0].run
    moment = now + after
    if is_rival:
        with suppress(RunFull):
            place(run, now=moment)
    orders.expire_orders(now=moment)
    sandbox.pay(attempt)

    clock.set_to(moment)
    attempts.settle_stale(older_than=moment, now=moment)
    jobs.run_pending()

    db.session.refresh(order)
    active = db.session.query(Enrolment).filter_by(person_id=order.person_id, ended_at=None).count()
    assert (attempt.state, active) == ("paid", came)
    assert (order.state, db.session.query(Refund).count(), run.seats_taken) == (state, 1 - came, 1)


def test_the_page_is_opened_until_the_last_moment_of_the_hold(sandbox, order, now):
    last = now + rules.HOLD_FOR - timedelta(microseconds=1)
    assert start(order, now=last).state == "open"
    with pytest.raises(Refused, match="order_not_open"):
        start(order, now=now + rules.HOLD_FOR)


def test_the_page_of_a_cancelled_order_is_closed(sandbox, order, now):
    attempt = start(order, now=now)
    orders.cancel_order(order.id, actor_id=None, now=now)

    assert attempts.close_dead_sessions(now=now) == 1
    assert (sandbox.session_of(attempt)["status"], attempt.state) == ("expired", "expired")


def test_a_page_paid_in_the_moment_it_is_closed_is_refunded(sandbox, order, now):
    attempt = start(order, now=now)
    orders.cancel_order(order.id, actor_id=None, now=now)
    sandbox.pay(attempt)

    attempts.close_dead_sessions(now=now)
    jobs.run_pending()
    assert attempt.state == "paid"
    assert db.session.query(Refund).one().state == "succeeded"


def paid(sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=now)
    return attempt


def give_back(order, amount, *, now, ends_place=False):
    officer = make_staff("finance_officer")
    return refunds.request_refund(
        order.id, Money(amount, "CNY"), reason="goodwill", ends_place=ends_place, actor_id=officer.id, now=now
    )


def test_money_and_place_are_two_decisions(sandbox, order, now):
    paid(sandbox, order, now)
    enrolment = db.session.query(Enrolment).filter_by(person_id=order.person_id).one()

    give_back(order, 28000, now=now)
    jobs.run_pending()
    assert (refunds.left(order.id).minor, enrolment.ended_at) == (100000, None)
    with pytest.raises(Invalid):
        give_back(order, 100001, now=now)

    [refund] = give_back(order, 100000, now=now)
    jobs.run_pending()
    assert (refund.state, refund.place_decision, enrolment.ended_at) == ("succeeded", "keep", None)
    assert set(ledger.balances().values()) == {0}
    refund_mails = ["payments/refund_due", "payments/refunded"]
    assert told(order) == ["enrolment/confirmed", *refund_mails, *refund_mails]


def test_staff_may_end_the_place_with_a_refund_of_a_part(sandbox, order, now):
    paid(sandbox, order, now)
    [refund] = give_back(order, 64000, now=now, ends_place=True)

    enrolment = db.session.query(Enrolment).filter_by(person_id=order.person_id).one()
    assert (enrolment.ended_at, enrolment.end_reason, refund.place_decision) == (now, "refunded", "end")
    assert order.lines[0].run.seats_taken == 0
    jobs.run_pending()
    refund_mails = ["payments/refund_due", "payments/refunded"]
    assert sorted(told(order)) == ["enrolment/confirmed", "enrolment/place_ended", *refund_mails]


def test_a_refund_stripe_refuses_waits_for_staff_and_can_be_given_again(app, client, sandbox, order, now):
    paid(sandbox, order, now)
    sandbox.store.turn("refund_fails", "1")
    give_back(order, order.total_minor, now=now)
    jobs.run_pending()
    deliver(app, client, sandbox.events())

    reconciliation.reconcile(now=now)
    assert [found.kind for found in discrepancies.list_open()] == ["refund_failed"]
    assert ledger.balances()["stripe_balance", "CNY"] == order.total_minor
    assert refunds.left(order.id) == order.total
    give_back(order, order.total_minor, now=now)
    jobs.run_pending()
    assert set(ledger.balances().values()) == {0}


def test_reconciliation_settles_what_no_webhook_told(sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.pay(attempt)

    later = now + timedelta(minutes=11)
    clock.set_to(later)
    assert reconciliation.reconcile(now=later)["sessions"] == 1
    assert order.state == "confirmed"
    assert db.session.query(Discrepancy).count() == 0


def test_reconciliation_queues_what_it_cannot_repair_and_staff_close_it(order, now):
    order.state, order.confirmed_at = "confirmed", now
    db.session.flush()
    for _ in range(2):
        reconciliation.reconcile(now=now)

    [found] = discrepancies.list_open()
    assert (found.kind, found.reference) == ("enrolled_unpaid", order.public_id)
    officer = make_staff("finance_officer")
    with pytest.raises(Invalid):
        discrepancies.resolve(found.public_id, note=" ", actor_id=officer.id, now=now)
    discrepancies.resolve(found.public_id, note="paid in cash", actor_id=officer.id, now=now)
    assert discrepancies.list_open() == []


def test_a_wrong_signature_is_refused_and_keeps_nothing(app, client):
    payload = b'{"id": "evt_1", "type": "x"}'
    headers = signed(app, payload + b" ", at=int(time.time()))

    assert client.post("/webhooks/stripe", data=payload, headers=headers).status_code == 400
    assert db.session.query(StripeEvent).count() == 0


def test_every_event_stripe_may_send_is_taken_in_any_order_twice(app, client, sandbox, shared_data):
    events = [json.loads(path.read_text()) for path in sorted((shared_data / "stripe" / "events").glob("*.json"))]
    assert len(events) == 88
    for number, event in enumerate(events):
        event["id"] = f"evt_shared_{number}"
    shuffled = events * 2
    random.Random(3).shuffle(shuffled)

    deliver(app, client, shuffled)

    states = {state for (state,) in db.session.query(StripeEvent.state)}
    assert db.session.query(StripeEvent).count() == 88
    assert states == {"ignored", "unknown"}
    assert jobs.dead_letters() == []
    assert db.session.query(LedgerTransaction).count() == 0


def test_finance_staff_see_the_desk_and_others_do_not(client, sandbox, order, now):
    paid(sandbox, order, now)
    sign_in(client, make_staff("finance_officer"))
    assert order.public_id in client.get("/staff/payments?lang=en").text
    page = client.get(f"/staff/orders/{order.public_id}?lang=en").text
    assert "Held by Stripe for us" in page

    answer = client.post(f"/staff/orders/{order.public_id}?lang=en", data={"amount": "9999999", "reason": "x"})
    assert answer.status_code == 422
    assert 'value="9999999"' in answer.text
    answer = client.post(f"/staff/orders/{order.public_id}", data={"amount": "1,280.00", "reason": "ill"})
    assert answer.status_code == 422
    form = {"amount": "1,280.00", "reason": "ill", "place": "end"}
    answer = client.post(f"/staff/orders/{order.public_id}", data=form)
    assert answer.status_code == 303

    sign_in(client, order.person)
    assert client.get("/staff/payments").status_code == 403


def test_a_page_can_be_opened_long_after_stripe_was_out_of_reach(sandbox, order, now, monkeypatch):
    sandbox.store.turn("fail_before", "9")
    with pytest.raises(Refused, match="payments_unreachable"):
        start(order, now=now)
    sandbox.store.turn("fail_before", "0")

    later = now + timedelta(minutes=10)
    monkeypatch.setenv("MARKETPLACE_CLOCK_OFFSET", "600")
    clock.set_to(later)
    assert start(order, now=later).state == "open"
    assert [attempt.state for attempt in db.session.query(PaymentAttempt).order_by(PaymentAttempt.id)] == [
        "expired",
        "open",
    ]


def test_what_stripe_refuses_for_good_can_be_tried_anew(sandbox, order, now, monkeypatch):
    # Their clock runs ahead, so the page would end too soon.
    monkeypatch.setenv("MARKETPLACE_CLOCK_OFFSET", "7200")
    with pytest.raises(Refused, match="payments_unreachable"):
        start(order, now=now)
    first = db.session.query(PaymentAttempt).one()
    assert (first.state, first.failure_code) == ("failed", "InvalidRequestError")

    monkeypatch.setenv("MARKETPLACE_CLOCK_OFFSET", "0")
    assert start(order, now=now).state == "open"


def test_a_seat_that_is_offered_for_days_can_be_paid_at_once(sandbox, order, now):
    run, someone = order.lines[0].run, make_person()
    waiting.set_rule(run.id, first=First.TIME, offer_hours=168, actor_id=None, now=now)
    waiting.join(run.id, someone.id, seat_code=None, now=now)
    orders.cancel_order(order.id, actor_id=None, now=now)

    mine = place(run, now=now, person=someone)
    assert (mine.expires_at, start(mine, now=now).state) == (now + timedelta(days=7), "open")


def test_who_is_enrolled_otherwise_is_told_that_they_paid_twice(sandbox, now):
    run, someone = make_run(), make_person()
    old = place(run, now=now, person=someone)
    attempt = start(old, now=now)
    orders.cancel_order(old.id, actor_id=None, now=now)
    new = place(run, now=now, person=someone)
    paid(sandbox, new, now)

    sandbox.pay(attempt)
    attempts.settle(stripe_gateway.retrieve_session(attempt.session_id), now=now)
    assert db.session.query(RefundDue).one().reason == "paid_twice"


def test_late_money_whose_voucher_is_gone_is_told_so(order, now):
    refund = Refund(amount_minor=100, currency="CNY", reason="claim_gone")
    given = {"refund": refund, "order": order, "line": order.lines[0], "person": order.person}
    with speaking("en"):
        text = render_template("emails/payments/refund_due.txt", public_url="", **given)
    assert "You are not enrolled" in text


@pytest.mark.parametrize("age", [timedelta(days=1), timedelta(days=1, seconds=1)])
def test_reconciliation_looks_at_the_last_day_often_and_at_everything_at_night(now, age):
    then = now - age
    values = {"amount_minor": 128000, "currency": "CNY", "created_at": then, "expires_at": then}
    unpaid, unconfirmed = place(make_run(), now=now), place(make_run(), now=now)
    unpaid.state, unpaid.confirmed_at = "confirmed", then
    add(PaymentAttempt(order_id=unconfirmed.id, state="paid", paid_at=then, **values))
    kinds = ["enrolled_unpaid", "paid_not_enrolled", "payment_not_posted"]

    reconciliation.reconcile_often.func.inner(0)
    assert sorted(one.kind for one in discrepancies.list_open()) == (kinds if age == timedelta(days=1) else [])
    reconciliation.reconcile_nightly.func.inner(0)
    assert sorted(one.kind for one in discrepancies.list_open()) == kinds


def test_reconciliation_queues_attempts_that_take_too_long(order, now):
    values = {"amount_minor": 1, "currency": "CNY", "expires_at": now}
    late = {"created": timedelta(days=1), "processing": timedelta(days=8)}
    for state, age in late.items():
        other = order if state == "created" else place(make_run(), now=now)
        add(PaymentAttempt(order_id=other.id, state=state, created_at=now - age, **values))

    reconciliation.reconcile(now=now - timedelta(seconds=1))
    assert discrepancies.list_open() == []
    reconciliation.reconcile(now=now)
    assert [(one.kind, one.details["state"]) for one in discrepancies.list_open()] == [
        ("stuck_attempt", state) for state in late
    ]


def test_an_event_about_a_payment_is_known_before_that_of_its_session(app, client, sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.pay(attempt)

    deliver(app, client, sandbox.events())
    states = {event.type: event.state for event in db.session.query(StripeEvent)}
    assert states["payment_intent.succeeded"] == states["checkout.session.completed"] == "handled"
