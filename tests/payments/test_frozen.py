"""Money under an open dispute: nobody gives it back, and everybody who looks at the order sees where it is."""

from __future__ import annotations

import pytest

from marketplace.enrolment import rules
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.formats import format_date
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money
from marketplace.payments import (
    attempts,
    desk,
    desk_pages,
    disputes,
    external_refunds,
    fapiao,
    postings,
    queues,
    refunds,
)
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.dispute_rules import PlaceDecision
from marketplace.payments.fapiao import FapiaoWish
from marketplace.payments.models import Refund
from marketplace.payments.sandbox import disputes as bank
from marketplace.payments.sandbox import refunds as dashboard
from tests.factories import make_run, make_staff, sign_in
from tests.payments.test_disputes import charge_of, disputed
from tests.payments.test_payments import deliver, paid, place, start
from tests.payments.test_stories import told
from tests.payments.test_unmatched import record, say, waiting


@pytest.fixture
def order(now):
    return place(make_run(capacity=1), now=now)


def give_back(order, now, amount=100):
    named = {"reason": "x", "ends_place": False, "actor_id": make_staff("finance_officer").id, "now": now}
    return refunds.request_refund(order.id, Money(amount, "CNY"), **named)


def page_of(app, order):
    file = desk.open_file(order.public_id)
    with app.test_request_context(), speaking("en"):
        page = desk_pages.file_page(file, now=clock.now())
    return page, {one.bar.step.value: one.bar.amount.minor for one in page.bars}


def test_money_under_an_open_dispute_is_not_given_back(app, client, sandbox, order, now):
    made, _found = disputed(app, client, sandbox, order, now)
    with pytest.raises(Refused, match="disputed"):
        give_back(order, now)

    sign_in(client, make_staff("finance_officer"))
    page = client.get(f"/staff/orders/{order.public_id}?lang=en").text
    assert ("Give money back" in page, "none of it can be given back" in page) == (False, True)
    answer = client.post(
        f"/staff/orders/{order.public_id}?lang=en", data={"amount": "1", "reason": "x", "place": "keep"}
    )
    assert (answer.status_code, "A bank is deciding about this payment" in answer.text) == (409, True)

    bank.close(sandbox.store, made["id"], is_won=True)
    deliver(app, client, sandbox.events())
    give_back(order, now)
    jobs.run_pending()
    assert [one.state for one in db.session.query(Refund)] == ["succeeded"]


def test_a_part_in_dispute_freezes_the_whole_payment_and_an_inquiry_nothing(app, client, sandbox, order, now):
    """Stripe refuses any refund of a charge in dispute; an inquiry may be answered with one."""
    attempt = paid(sandbox, order, now)
    give_back(order, now)
    jobs.run_pending()
    bank.open_dispute(sandbox.store, charge_of(sandbox, attempt))
    deliver(app, client, sandbox.events())
    found = db.session.query(Dispute).one()
    assert found.amount.minor == 127900

    found.amount_minor = 1000
    with pytest.raises(Refused, match="disputed"):
        give_back(order, now)
    found.state = "inquiry"
    assert len(give_back(order, now)) == 1


def test_a_failed_refund_is_not_sent_again_while_the_bank_decides(app, client, sandbox, order, now):
    attempt = paid(sandbox, order, now)
    bank.open_dispute(sandbox.store, charge_of(sandbox, attempt))
    [refund] = give_back(order, now)
    jobs.run_pending()
    assert (refund.state, refund.failure_code) == ("failed", "charge_disputed")

    deliver(app, client, sandbox.events())
    with pytest.raises(Refused, match="disputed"):
        refunds.repeat(refund, actor_id=make_staff("finance_officer").id, now=now)


def test_the_file_of_a_disputed_order_says_so(app, client, sandbox, order, now):
    _made, found = disputed(app, client, sandbox, order, now)
    postings.post_facts()
    page, bars = page_of(app, order)

    assert (page.next.action, page.next.actor, page.next.until) == (
        "decide_dispute",
        "officer",
        found.evidence_due_by,
    )
    assert (bars["paid"], bars["held"], bars["kept"]) == (128000, -128000, 0)
    disputes.decide(
        found.public_id, PlaceDecision.KEEP, reason="known", actor_id=make_staff("finance_officer").id, now=now
    )
    page, _bars = page_of(app, order)
    assert (page.next.action, page.next.until) == ("wait_for_bank", found.evidence_due_by)

    sign_in(client, make_staff("finance_officer"))
    text = client.get(f"/staff/orders/{order.public_id}?lang=en").text
    assert "Held by the bank while it decides" in text
    assert f"/staff/after-sale#dispute-{found.public_id}" in text


def test_a_lost_dispute_waits_for_a_word_about_the_place(app, client, sandbox, order, now):
    made, _found = disputed(app, client, sandbox, order, now)
    bank.close(sandbox.store, made["id"], is_won=False)
    deliver(app, client, sandbox.events())
    postings.post_facts()
    page, bars = page_of(app, order)

    assert (page.next.action, page.next.until) == ("decide_disputed_place", None)
    assert ("held" in bars, bars["disputed"], bars["kept"]) == (False, -128000, 0)


def test_a_refund_from_outside_is_the_next_action_until_it_is_decided(app, client, sandbox, order, now):
    attempt = paid(sandbox, order, now)
    dashboard.create(sandbox.store, {"payment_intent": attempt.payment_intent_id, "amount": 500})
    deliver(app, client, sandbox.events())
    jobs.run_pending()
    assert page_of(app, order)[0].next.action == "decide_outside_refund"

    refund = db.session.query(Refund).one()
    officer = make_staff("finance_officer")
    external_refunds.decide(refund.public_id, ends_place=False, reason="agreed", actor_id=officer.id, now=now)
    assert page_of(app, order)[0].next.action == "take_part"


def ask_fapiao(order, now):
    return fapiao.request(order.id, FapiaoWish("personal", "李", None, "li@example.cn"), now=now)


def test_a_fapiao_is_the_next_action_until_it_is_dealt_with(app, client, sandbox, order, now):
    paid(sandbox, order, now)
    asked = ask_fapiao(order, now)
    assert page_of(app, order)[0].next.action == "issue_fapiao"

    named = {"number": "1", "issued_on": now.date(), "file": ("f.pdf", b"%PDF-1"), "actor_id": order.person_id}
    fapiao.issue(asked.public_id, **named, now=now)
    give_back(order, now)
    jobs.run_pending()
    assert page_of(app, order)[0].next.action == "reverse_fapiao"


def test_the_queues_hold_what_is_decided_elsewhere(app, client, sandbox, now, queries):
    fapiao_order, refunded, held = (place(make_run(), now=now) for _ in range(3))
    paid(sandbox, fapiao_order, now)
    asked = ask_fapiao(fapiao_order, now)
    attempt = paid(sandbox, refunded, now)
    dashboard.create(sandbox.store, {"payment_intent": attempt.payment_intent_id, "amount": 500})
    _made, found = disputed(app, client, sandbox, held, now)
    jobs.run_pending()
    refund = db.session.query(Refund).one()
    before = len(queries)
    counts = queues.counts()
    assert len(queries) - before == 2

    assert (counts.disputes, counts.outside_refunds, counts.fapiao, counts.in_all) == (1, 1, 1, 3)
    sign_in(client, make_staff("finance_officer"))
    page = client.get("/staff/queues?lang=en").text
    for address in (
        f"/staff/after-sale#dispute-{found.public_id}",
        f"/staff/after-sale#refund-{refund.public_id}",
        f"/staff/fapiao/{asked.public_id}",
    ):
        assert f'href="{address}"' in page
    assert "Evidence is due by" in page
    assert "nobody waits" not in page
    there = client.get("/staff/after-sale?lang=en").text
    assert (f'id="dispute-{found.public_id}"' in there, f'id="refund-{refund.public_id}"' in there) == (True, True)


@pytest.mark.parametrize("is_won", [True, False])
def test_the_buyer_is_told_what_the_bank_does(app, client, sandbox, order, now, is_won):
    made, _found = disputed(app, client, sandbox, order, now)
    with app.test_request_context(), speaking("en"):
        day = format_date(now, "long")
    assert told(app, order)[-1] == (
        f"On {day} your bank asked for CN¥1,280.00 of it back and holds that until it has decided."
    )

    bank.close(sandbox.store, made["id"], is_won=is_won)
    deliver(app, client, sandbox.events())
    assert told(app, order)[-1] == (
        f"Your bank decided on {day} that your payment of CN¥1,280.00 stands."
        if is_won
        else f"Your bank decided on {day} that CN¥1,280.00 goes back to you; you have it from your bank, not from us."
    )
    assert len(told(app, order)) == 3


def test_late_money_that_went_back_is_nothing_to_decide_about(app, sandbox, order, now):
    attempt, late = start(order, now=now), now + rules.HOLD_FOR
    place(order.lines[0].run, now=late)
    clock.set_to(late)
    sandbox.pay(attempt)
    attempts.settle_returned(order.id, now=late)
    assert page_of(app, order)[0].next.action == "wait_for_refund"
    jobs.run_pending()
    assert db.session.query(Refund).one().state == "succeeded"
    page, bars = page_of(app, order)
    assert (page.next.action, bars["paid"], bars["refunded"], bars["kept"]) == ("nothing", 128000, -128000, 0)


def test_money_that_was_assigned_from_suspense_is_money_paid(app, order, now):
    officer = make_staff("finance_officer")
    record(officer, now)
    say(waiting(), officer, now, "order", order_number=order.public_id)
    bars = page_of(app, order)[1]
    assert (bars["paid"], bars["kept"]) == (128000, 128000)
    assert not {"unpaid", "funded"} & set(bars)
