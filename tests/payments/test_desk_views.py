from __future__ import annotations

import re
from datetime import timedelta

import pytest

from marketplace.enrolment.models import RefundDue
from marketplace.foundation import bank_days, clock, jobs
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.i18n import speaking
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.payments import desk_pages, discrepancies, events, ledger, reconciliation
from marketplace.payments import matching_rules as rules
from marketplace.payments.desk_models import OfflinePayment, StaffAct, WriteOff
from marketplace.payments.models import Discrepancy, PaymentAttempt, Refund, StripeEvent
from tests.factories import make_person, make_run, make_staff, sign_in
from tests.funding.test_vouchers import codes, issue, use
from tests.payments.test_debts import indebted
from tests.payments.test_payments import paid, place, start
from tests.payments.test_stripe_matching import reconcile


@pytest.fixture
def officer(client):
    person = make_staff("finance_officer", locale="en")
    sign_in(client, person)
    return person


@pytest.fixture
def order(now):
    return place(make_run(), now=now, person=make_person(name="林晓雯 Wen", email="wen@example.cn"))


def find(client, text):
    """The order a search leads to at once, or how many it lists."""
    answer = client.get("/staff/desk", query_string={"q": text, "lang": "en"})
    if answer.status_code == 303:
        return answer.location.rpartition("/")[2]
    return len(re.findall(r'<th scope="row"><a href="/staff/orders/', answer.text))


def test_one_box_finds_an_order_by_anything_that_names_it(client, officer, sandbox, order, now):
    attempt = paid(sandbox, order, now)
    reconcile()
    [movement] = sandbox.store.list_kind("balance_transaction")
    names = [order.public_id, attempt.public_id, attempt.session_id, attempt.payment_intent_id, movement["id"]]
    names += [movement["source"], "wen@EXAMPLE.cn", "晓雯", order.person.public_id, f" {order.public_id.upper()} "]

    assert [find(client, name) for name in names] == [order.public_id] * len(names)
    assert [find(client, name) for name in ("", "x", "100%", "nobody at all")] == [0, 0, 0, 0]


def test_several_orders_are_listed_newest_first(client, officer, order, now):
    second = place(make_run(), now=now, person=order.person)
    page = client.get("/staff/desk?q=wen@&lang=en").text

    assert page.index(second.public_id) < page.index(order.public_id)
    assert "2 orders found" in page


def test_a_code_finds_the_order_it_paid_for(client, officer):
    code = codes(issue(officer))[0]
    used = use(code, make_person())
    from marketplace.enrolment.models import OrderLine  # noqa: PLC0415 - beside its only use

    line = db.session.get_one(OrderLine, used.order_line_id)
    assert find(client, code) == line.order.public_id


def test_the_file_of_an_order_tells_all_of_it_and_what_comes_next(client, officer, sandbox, order, now):
    paid(sandbox, order, now)
    reconcile()
    page = client.get(f"/staff/orders/{order.public_id}?lang=en").text

    for sentence in (
        "The place is sold; its revenue is shared when the run is over.",
        "Where every yuan is",
        "Not earned before the run is over",
        "Of the payment Stripe kept",
        "Posted: Payment",
        "Paid and confirmed",
        "Mail the confirmation again",
    ):
        assert sentence in page
    assert "Mark paid by bank transfer" not in page
    assert "Money that came once more is owed back to the learner" in page
    posted = page.partition("Posted: Payment<")[2].partition("</li>")[0]
    assert ("CN¥1,280.00" in posted, "payment:" in page) == (True, False)


def test_a_refund_needs_a_reason_and_is_kept_as_an_act(client, officer, sandbox, order, now):
    paid(sandbox, order, now)
    address = f"/staff/orders/{order.public_id}?lang=en"
    assert client.post(address, data={"amount": "10", "place": "keep"}).status_code == 422

    assert client.post(address, data={"amount": "10", "reason": "ill", "place": "keep"}).status_code == 303
    [act] = db.session.query(StaffAct)
    assert (act.kind, act.reason, act.person_id, act.details["amount"]) == ("refund", "ill", officer.id, 1000)


def transfer(client, order, amount="1280.00", **changes):
    data = {
        "transfer-amount": amount,
        "transfer-bank_reference": "ICBC 7",
        "transfer-received_on": bank_days.day_of(clock.now()).isoformat(),
        "transfer-reason": "employer",
    }
    return client.post(f"/staff/orders/{order.public_id}/transfer?lang=en", data=data | changes)


def test_an_order_is_marked_paid_by_bank_transfer(client, officer, order):
    wrong = transfer(client, order, amount="1279")
    assert (wrong.status_code, "Only the whole amount due" in wrong.text) == (422, True)
    assert 'value="1279"' in wrong.text

    assert transfer(client, order).status_code == 303
    assert order.state == "confirmed"
    assert (
        "ICBC7" not in client.get(f"/staff/orders/{order.public_id}?lang=en").text.split("Everything that happened")[0]
    )


def today():
    return bank_days.day_of(clock.now()).isoformat()


def treat(client, kind, reference, act, **data):
    address = f"/staff/queues/{kind}/{reference}?lang=en"
    return client.post(address, data={"act": act, "reason": "seen"} | data, follow_redirects=True)


def test_why_the_marketplace_gave_money_back_by_itself_has_words(client, officer, order):
    transfer(client, order)
    transfer(client, order, **{"transfer-bank_reference": "ICBC 8"})
    jobs.run_pending()
    page = client.get(f"/staff/orders/{order.public_id}?lang=en").text
    assert ("It was paid once more" in page, "paid_twice" in page) == (True, False)


def test_a_large_transfer_waits_for_another_officer(client, officer, now):
    order = place(make_run(price_minor=900000), now=now)
    transfer(client, order, amount="9000")
    payment = db.session.query(OfflinePayment).one()
    assert "another finance officer must look at it" in client.get("/staff/queues?lang=en").text
    assert "you entered it" in treat(client, "transfer", payment.public_id, "approve").text

    sign_in(client, make_staff("finance_officer"))
    assert "Done, and noted." in treat(client, "transfer", payment.public_id, "approve", order=order.public_id).text
    assert order.state == "confirmed"
    assert "decided about this already" in treat(client, "transfer", payment.public_id, "decline").text


def test_a_refund_of_a_transfer_is_sent_at_the_bank(client, officer, order):
    transfer(client, order)
    client.post(f"/staff/orders/{order.public_id}", data={"amount": "1280", "reason": "ill", "place": "end"})
    jobs.run_pending()
    [refund] = db.session.query(Refund)
    assert refund.state == "requested"
    assert "Transfer the money back at the bank" in client.get(f"/staff/orders/{order.public_id}?lang=en").text
    assert (
        "Enter the reference"
        in treat(client, "refund", refund.public_id, "sent", bank_reference=" ", sent_on=today()).text
    )

    for day in ("", "x", "2999-01-01"):
        answer = treat(client, "refund", refund.public_id, "sent", bank_reference="B 9", sent_on=day)
        assert ("Enter the day" in answer.text or "Enter a day" in answer.text, refund.state) == (True, "requested")
    treat(client, "refund", refund.public_id, "sent", bank_reference="B 9", sent_on=today())
    assert refund.state == "succeeded"
    assert set(ledger.balances().values()) == {0}
    assert (
        "does not wait any more"
        in treat(client, "refund", refund.public_id, "sent", bank_reference="B 9", sent_on=today()).text
    )


def test_a_failed_refund_is_sent_again_once(client, officer, sandbox, order, now):
    paid(sandbox, order, now)
    sandbox.store.turn("refund_fails", "1")
    client.post(f"/staff/orders/{order.public_id}", data={"amount": "1280", "reason": "ill", "place": "end"})
    jobs.run_pending()
    [failed] = db.session.query(Refund)
    later = now + timedelta(minutes=11)
    clock.set_to(later)
    reconciliation.reconcile(now=later)
    jobs.run_pending()
    reconciliation.reconcile(now=later)
    [found] = discrepancies.list_open()
    assert (found.kind, failed.state) == ("refund_failed", "failed")

    assert "Done, and noted." in treat(client, "discrepancy", found.public_id, "retry").text
    jobs.run_pending()
    assert [one.state for one in db.session.query(Refund).order_by(Refund.id)] == ["failed", "succeeded"]
    assert discrepancies.list_open() == []
    assert "does not wait any more" in treat(client, "discrepancy", found.public_id, "retry").text


def test_an_unknown_event_is_tried_again_or_closed_with_a_note(client, officer, now):
    with transaction():
        event = add(StripeEvent(event_id="evt_1", type="refund.updated", payload={}, state="unknown", received_at=now))
    assert "refund.updated" in client.get("/staff/queues?lang=en").text

    assert "Say why" in treat(client, "event", event.id, "resolve", reason=" ").text
    treat(client, "event", event.id, "resolve")
    assert "refund.updated" not in client.get("/staff/queues?lang=en").text
    assert [act.kind for act in db.session.query(StaffAct)] == ["event_resolved"]


def test_an_event_that_came_too_early_is_handled_when_it_is_tried_again(client, officer, sandbox, order, now):
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    payload = next(one for one in sandbox.events() if one["type"] == "checkout.session.completed")
    with transaction():
        event = add(
            StripeEvent(event_id="evt_1", type=payload["type"], payload=payload, state="unknown", received_at=now)
        )
    treat(client, "event", event.id, "retry")
    jobs.run_pending()

    assert (event.state, order.state) == ("handled", "confirmed")


def test_a_dead_letter_is_run_again_or_given_up(client, officer, now):
    from sqlalchemy import text  # noqa: PLC0415 - beside its only use

    with transaction():
        numbers = [jobs.enqueue(jobs.app.tasks["payments.send_refund"], refund_id=index) for index in (-1, -2)]
        db.session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
    assert client.get("/staff/queues?lang=en").text.count("payments.send_refund") == 2

    treat(client, "job", numbers[0], "retry")
    treat(client, "job", numbers[1], "resolve")
    assert jobs.dead_letters() == []
    assert jobs.run_pending() == 1
    assert client.post("/staff/queues/job/x", data={"act": "retry", "reason": "x"}).status_code == 404
    assert client.post("/staff/queues/moon/1", data={"act": "retry", "reason": "x"}).status_code == 404


def test_a_discrepancy_is_closed_with_a_note(client, officer, order, now):
    with transaction():
        discrepancies.queue("paid_not_enrolled", "a", {"order": order.public_id}, now=now)
    [found] = discrepancies.list_open()
    assert order.public_id in client.get("/staff/queues?lang=en").text
    treat(client, "discrepancy", found.public_id, "resolve", reason="done by hand")

    assert db.session.query(Discrepancy).one().note == "done by hand"
    assert db.session.query(StaffAct).one().order_id == order.id
    assert "Nothing waits for you" in client.get("/staff/queues?lang=en").text


def queue_up(kind, number, *, now):
    with transaction():
        for index in range(number):
            discrepancies.queue(kind, f"{kind}-{index:03}.", {}, now=now)


def shown(page):
    return re.findall(r"(?:unknown_movement|refund_failed|stuck_attempt)-\d{3}\.", page)


def test_a_long_queue_hides_neither_its_own_end_nor_the_others(client, officer, now):
    queue_up("unknown_movement", 101, now=now)
    queue_up("refund_failed", 1, now=now)
    queue_up("stuck_attempt", 50, now=now)

    page = client.get("/staff/queues?lang=en").text
    assert [shown(page).count(one) for one in ("refund_failed-000.", "stuck_attempt-049.")] == [1, 1]
    seen = []
    while following := re.findall(r'rel="next" href="([^"]+)"', page):
        [address] = following
        page = client.get(address.replace("&amp;", "&")).text
        seen.append(shown(page))
    rest = [one for page in seen for one in page]
    movements = [f"unknown_movement-{index:03}." for index in range(50, 101)]
    assert (rest, len(seen)) == (movements, 2)
    assert client.get("/staff/queues?queue=moon").status_code == 404


def test_events_of_a_long_queue_are_reached_too(client, officer, now):
    with transaction():
        for index in range(51):
            add(StripeEvent(event_id=f"evt_{index}.", type="x.y", payload={}, state="unknown", received_at=now))
    [address] = re.findall(r'rel="next" href="([^"]+)"', client.get("/staff/queues?lang=en").text)
    assert re.findall(r"evt_\d+\.", client.get(address.replace("&amp;", "&")).text) == ["evt_50."]


def propose_transfers(number, order, person, *, now):
    with transaction():
        for index in range(number):
            add(
                OfflinePayment(
                    order_id=order.id,
                    amount_minor=100,
                    currency="CNY",
                    bank_reference=f"BANK{index:03}.",
                    received_on=bank_days.day_of(now),
                    reason="x",
                    proposed_by_id=person.id,
                    proposed_at=now,
                )
            )


def kill_jobs(number):
    from sqlalchemy import text  # noqa: PLC0415 - beside its only use

    with transaction():
        for index in range(number):
            jobs.enqueue(jobs.app.tasks["payments.send_refund"], refund_id=index)
        db.session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))


def owe_bank_refunds(number, order, *, now):
    with transaction():
        for index in range(number):
            attempt = add(
                PaymentAttempt(
                    order_id=order.id,
                    method="offline",
                    state="paid",
                    paid_at=now,
                    amount_minor=100,
                    currency="CNY",
                    expires_at=now,
                    created_at=now,
                )
            )
            due = add(
                RefundDue(
                    key=f"due-{index}",
                    order_id=order.id,
                    attempt_public_id=attempt.public_id,
                    amount_minor=100 + index,
                    currency="CNY",
                    reason="cancelled",
                    recorded_at=now,
                )
            )
            add(
                Refund(
                    refund_due_id=due.id,
                    attempt_id=attempt.id,
                    amount_minor=100 + index,
                    currency="CNY",
                    reason="cancelled",
                    state="requested",
                    created_at=now,
                )
            )


def test_transfers_refunds_and_dead_letters_are_reached_to_the_last(client, officer, order, now):
    propose_transfers(51, order, make_person(), now=now)
    owe_bank_refunds(51, order, now=now)
    kill_jobs(51)

    first = client.get("/staff/queues?lang=en").text
    following = re.findall(r'rel="next" href="([^"]+)"', first)
    found = []
    for address in following:
        page = client.get(address.replace("&amp;", "&")).text
        found += re.findall(r"BANK\d+\.|¥\d\.\d\d|refund_id \d+", page)
    assert (found, len(following)) == (["¥1.00", "BANK050.", "¥1.50", "refund_id 50"], 3)
    assert "Refunds to send at the bank (51)" in first
    assert "Jobs that gave up (51)" in first


def test_dead_letters_are_counted_in_their_index(app):
    from sqlalchemy import text  # noqa: PLC0415 - beside its only use

    kill_jobs(3)
    with transaction():
        db.session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = db.session.scalars(text("EXPLAIN SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")).all()
    assert jobs.count_dead_letters() == 3
    assert "ix_procrastinate_jobs_failed" in "".join(plan)


def test_the_confirmation_is_mailed_again_to_the_address_of_today(client, officer, order):
    address = f"/staff/orders/{order.public_id}/resend?lang=en"
    assert client.post(address, data={"resend-reason": "x"}).status_code == 409
    transfer(client, order)
    order.person.email = "new@example.cn"

    assert client.post(address, data={"resend-reason": "lost"}).status_code == 303
    again = db.session.query(OutgoingMail).filter_by(recipient="new@example.cn").one()
    assert again.message == "enrolment/confirmed"


def test_reconciliation_shows_what_moved_and_with_what_it_agrees(client, officer, sandbox, order, now):
    assert "have not been read yet" in client.get("/staff/reconciliation?lang=en").text
    paid(sandbox, order, now)
    reconcile()
    page = client.get("/staff/reconciliation?lang=en").text
    assert order.public_id in page
    assert "39.12" in page

    assert client.post("/staff/reconciliation").status_code == 303
    assert jobs.run_pending() >= 1


def statements(run):
    from sqlalchemy import event  # noqa: PLC0415 - beside its only use

    seen = []

    def keep(*arguments):
        seen.append(arguments[2])

    connection = db.session.connection()
    event.listen(connection, "before_cursor_execute", keep)
    db.session.expunge_all()
    run()
    event.remove(connection, "before_cursor_execute", keep)
    return len([one for one in seen if one.lstrip().upper().startswith("SELECT")])


@pytest.mark.parametrize(
    "path", ["/staff/desk?q=example.com", "/staff/payments", "/staff/queues", "/staff/reconciliation"]
)
def test_a_list_costs_the_same_however_long_it_is(client, officer, sandbox, now, path):
    def fill():
        order = place(make_run(price_minor=900000), now=now)
        start(order, now=now)
        transfer(client, order, amount="9000")
        with transaction():
            discrepancies.queue("paid_not_enrolled", order.public_id, {"order": order.public_id}, now=now)

    fill()
    fill()
    client.get(path)
    few = statements(lambda: client.get(path))
    for _ in range(4):
        fill()

    assert statements(lambda: client.get(path)) == few <= 20


@pytest.mark.parametrize("path", ["/staff/desk", "/staff/payments", "/staff/queues", "/staff/reconciliation"])
def test_others_do_not_see_the_desk(client, path):
    sign_in(client, make_staff("reviewer"))
    assert client.get(path).status_code == 403
    sign_in(client, make_staff("administrator"))
    assert client.get(path).status_code == 200


def test_money_is_money(app):
    assert db.session.query(PaymentAttempt).count() == 0
    assert Discrepancy(details={"theirs": 5, "currency": "CNY"}).theirs == Money(5, "CNY")
    assert Discrepancy(details={"theirs": 5, "currency": "ISK"}).theirs is None


def test_a_refund_is_not_sent_before_it_was_asked_for_and_the_form_is_kept(client, officer, order):
    transfer(client, order)
    client.post(f"/staff/orders/{order.public_id}", data={"amount": "1280", "reason": "ill", "place": "end"})
    jobs.run_pending()
    [refund] = db.session.query(Refund)
    paid = db.session.query(PaymentAttempt).filter_by(state="paid").one()
    paid.paid_at = clock.now() - timedelta(days=3)
    db.session.commit()

    yesterday = (bank_days.day_of(clock.now()) - timedelta(days=1)).isoformat()
    data = {"act": "sent", "reason": "sent by hand", "bank_reference": "B 9", "sent_on": yesterday}
    answer = client.post(f"/staff/queues/refund/{refund.public_id}?lang=en", data=data)
    assert answer.status_code == 422
    for kept in ("nobody had asked for this refund", "sent by hand", 'value="B 9"', f'value="{yesterday}"'):
        assert kept in answer.text
    assert refund.state == "requested"
    assert client.post(answer.request.path, data=data | {"sent_on": today()}).status_code == 303
    assert refund.state == "succeeded"


def test_whatever_stripe_tells_or_lists_has_words(app):
    with app.test_request_context(), speaking("zh"):
        told = events.SESSIONS | events.INTENTS | events.DISPUTES | events.REFUNDS
        assert set(desk_pages.event_names()) == told
        listed = rules.PAYMENTS | rules.REFUNDS | rules.REFUND_FAILURES | rules.PAYOUTS | rules.PAYOUT_FAILURES
        assert set(desk_pages.movement_kinds()) == listed | rules.FEES | rules.ADJUSTMENTS
        names = [*desk_pages.event_names().values(), *desk_pages.movement_kinds().values()]
        assert [name for name in names if not re.search("[一-鿿]", name)] == []


def left_on(client, address):
    """What the forms of an order's page keep of what is left, in their order."""
    return re.findall(r'name="(?:write-off-)?left"[^>]*value="([^"]*)"', client.get(address).text)


def test_a_refund_that_is_pressed_twice_is_made_once(client, officer, sandbox, order, now):
    paid(sandbox, order, now)
    address = f"/staff/orders/{order.public_id}?lang=en"
    [left] = left_on(client, address)
    data = {"amount": "280", "reason": "ill", "place": "keep", "left": left}
    assert client.post(address, data=data).status_code == 303
    again = client.post(address, data=data)
    assert (again.status_code, "it may be done already" in again.text) == (409, True)
    assert db.session.query(Refund).count() == 1
    # What was refused stands there with what is left by now, so that it can be meant.
    assert client.post(address, data=data | {"left": left_on(client, address)[0]}).status_code == 303
    assert sorted(one.amount_minor for one in db.session.query(Refund)) == [28000, 28000]


def test_a_write_off_that_is_pressed_twice_is_made_once(client, officer, now):
    order = indebted(now=now)
    address = f"/staff/orders/{order.public_id}?lang=en"
    left = left_on(client, address)[-1]
    data = {"write-off-amount": "100", "write-off-reason": "ill", "write-off-left": left}
    path = f"/staff/orders/{order.public_id}/write-off"
    assert [client.post(path, data=data).status_code for _ in range(2)] == [303, 409]
    assert [one.amount_minor for one in db.session.query(WriteOff)] == [10000]
