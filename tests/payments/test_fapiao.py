from __future__ import annotations

import io
from datetime import date

import pytest

from marketplace.enrolment.models import RefundDue
from marketplace.foundation import bank_days, jobs
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.payments import attempts, disputes, fapiao, fapiao_gate, offline, refunds
from marketplace.payments.fapiao import FapiaoWish
from marketplace.payments.invoice_models import FapiaoEvent
from marketplace.payments.models import PaymentAttempt, Purpose, Refund
from marketplace.payments.sandbox import disputes as bank
from marketplace.payments.sandbox import refunds as dashboard
from tests.factories import make_person, make_run, sign_in
from tests.payments.test_invoices import cancelled, paid_order
from tests.payments.test_payments import deliver, place, start

COMPANY = FapiaoWish("company", "壁画工作室有限公司", "91110000600037341L", "fapiao@example.com")
PDF = ("发票 2026.pdf", b"%PDF-1.4 the tax system's file")


@pytest.fixture
def order(now):
    return paid_order(now=now)


def issued(order, officer, *, now):
    asked = fapiao.request(order.id, COMPANY, now=now)
    return fapiao.issue(
        asked.public_id,
        number="26312000000012345678",
        issued_on=date(2026, 3, 10),
        file=PDF,
        actor_id=officer.id,
        now=now,
    )


def test_a_fapiao_goes_from_request_to_file(order, officer, now):
    made = issued(order, officer, now=now)

    assert (made.state, made.amount, made.number) == ("issued", Money(128000, "CNY"), "26312000000012345678")
    kept = fapiao.get(made.public_id)
    assert [(event.act, event.actor_id) for event in kept.events] == [
        ("request", order.person_id),
        ("issue", officer.id),
    ]
    assert [(file.purpose, file.file_name, file.media_type) for file in kept.files] == [
        ("fapiao", "发票2026.pdf", "application/pdf")
    ]
    written = db.session.query(OutgoingMail).filter_by(message="payments/fapiao_issued").one()
    assert written.recipient == "fapiao@example.com"
    assert "26312000000012345678" in written.text


def test_a_double_click_asks_once_and_another_title_is_refused(order, now):
    first = fapiao.request(order.id, COMPANY, now=now)
    assert fapiao.request(order.id, COMPANY, now=now).id == first.id

    with pytest.raises(Refused, match="fapiao_stands"):
        fapiao.request(order.id, FapiaoWish("personal", "林文", None, "w@example.com"), now=now)


@pytest.mark.parametrize("number", ["", "91110000600037341X", "123", None])
def test_a_wrong_credit_code_is_told_beside_its_field(order, now, number):
    with pytest.raises(Invalid) as refusal:
        fapiao.request(order.id, FapiaoWish("company", "X", number, "x@example.com"), now=now)

    assert set(refusal.value.fields) == {"tax_number"}


def test_a_rejected_request_says_why_and_may_be_made_again(order, officer, now):
    asked = fapiao.request(order.id, COMPANY, now=now)
    fapiao.reject(asked.public_id, reason="抬头与税号不符", actor_id=officer.id, now=now)

    assert "抬头与税号不符" in db.session.query(OutgoingMail).filter_by(message="payments/fapiao_rejected").one().text
    assert fapiao.request(order.id, COMPANY, now=now).id != asked.id
    with pytest.raises(Refused, match="fapiao_state"):
        fapiao.withdraw(asked.public_id, actor_id=order.person_id, now=now)


@pytest.mark.parametrize(
    "file", [("x.pdf", b"MZ executable"), ("x.html", b"<html>"), ("x.pdf", b"%PDF-" + b"0" * 3_000_001)]
)
def test_only_files_of_the_tax_system_are_kept(order, officer, now, file):
    asked = fapiao.request(order.id, COMPANY, now=now)

    with pytest.raises(Invalid):
        fapiao.issue(
            asked.public_id, number="12345678", issued_on=date(2026, 3, 1), file=file, actor_id=officer.id, now=now
        )
    assert fapiao.get(asked.public_id).state == "requested"


def test_a_refund_waits_until_the_fapiao_is_reversed(app, client, sandbox, officer, now):
    order = place(make_run(capacity=1), now=now)
    order_id, officer_id = order.id, officer.id
    attempt = start(order, now=now)
    sandbox.pay(attempt)
    deliver(app, client, sandbox.events())
    made = issued(order, officer, now=now)

    [refund] = refunds.request_refund(
        order_id, Money(28000, "CNY"), reason="asked", ends_place=False, actor_id=officer_id, now=now
    )
    refund_id, public_id = refund.id, made.public_id
    jobs.run_pending()
    refunds.send.func(refund_id=refund_id)
    waiting = db.session.get(type(refund), refund_id)
    assert (waiting.state, waiting.stripe_refund_id) == ("requested", None)
    assert fapiao.get(public_id).state == "reversal_needed"
    assert [asked.public_id for asked in fapiao.list_open()] == [public_id]
    acts = [event.act for event in db.session.query(FapiaoEvent).order_by(FapiaoEvent.id)]
    assert acts == ["request", "issue", "need_reversal"]

    fapiao.reverse(public_id, number="26312000000099999999", file=PDF, actor_id=officer_id, now=now)
    jobs.run_pending()
    db.session.expire_all()
    assert db.session.get(type(refund), refund_id).state == "succeeded"


@pytest.mark.parametrize(("reason", "waits"), [("paid_twice", False), ("staff", True)])
def test_money_that_bought_nothing_does_not_wait(order, officer, now, reason, waits):
    """Paid twice: the second payment is on no fapiao."""
    made = issued(order, officer, now=now)
    with transaction():
        given_up = db.session.query(PaymentAttempt).filter_by(order_id=order.id).one().public_id
        values = {"amount_minor": 128000, "currency": "CNY", "reason": reason, "attempt_public_id": given_up}
        add(RefundDue(key="k", order_id=order.id, **values))

    assert fapiao_gate.must_wait(order.id, Purpose.ORDER, now=now) is waits
    assert made.state == ("reversal_needed" if waits else "issued")


def test_what_is_kept_of_a_cancelled_order_has_a_fapiao(order, officer, now):
    made = issued(order, officer, now=now)
    cancelled(order, kept_percent=30, now=now)
    assert fapiao_gate.must_wait(order.id, Purpose.ORDER, now=now) is True
    fapiao.reverse(made.public_id, number="26312000000099999999", file=PDF, actor_id=officer.id, now=now)
    again = fapiao.request(order.id, COMPANY, now=now)

    assert (order.state, again.amount) == ("cancelled", Money(38400, "CNY"))
    assert fapiao_gate.must_wait(order.id, Purpose.ORDER, now=now) is False
    assert again.state == "requested"


def test_learner_and_staff_walk_through_the_pages(client, order, officer, now):
    sign_in(client, order.person)
    path = f"/orders/{order.public_id}"
    wish = {"kind": "company", "title": "壁画工作室", "tax_number": "9111 0000 6000 3734 1X", "email": "f@example.com"}
    answer = client.post(f"{path}/fapiao?lang=en", data=wish)
    assert answer.status_code == 422
    assert "This is no unified social credit code" in answer.text
    assert 'value="91110000600037341X"' in answer.text
    assert client.post(f"{path}/fapiao", data=wish | {"tax_number": "9111 0000 6000 3734 1L"}).status_code == 303
    asked = fapiao.find_standing(order.id)

    assert client.get(f"/staff/fapiao/{asked.public_id}").status_code == 403
    sign_in(client, officer)
    assert "壁画工作室" in client.get("/staff/invoices").text
    upload = {"number": "12345678", "issued_on": "2026-03-10", "file": (io.BytesIO(PDF[1]), "f.pdf")}
    answer = client.post(f"/staff/fapiao/{asked.public_id}/issue", data=upload, content_type="multipart/form-data")
    assert answer.status_code == 303
    file = fapiao.get(asked.public_id).files[0].public_id

    sign_in(client, make_person())
    assert client.get(f"/fapiao-files/{file}").status_code == 404
    sign_in(client, order.person)
    answer = client.get(f"/fapiao-files/{file}")
    assert (answer.data, answer.headers["Content-Disposition"]) == (PDF[1], "attachment; filename=f.pdf")


def test_a_fapiao_that_is_asked_for_is_lowered_by_what_goes_back(client, sandbox, officer, now):
    order = stripe_paid(sandbox, now=now)
    asked = fapiao.request(order.id, COMPANY, now=now)
    give_back(order, 28000, officer, now=now)

    assert (asked.amount, [event.act for event in asked.events]) == (Money(100000, "CNY"), ["request", "lower"])
    with pytest.raises(Refused, match="fapiao_amount"):
        fapiao.issue(
            asked.public_id,
            number="1",
            issued_on=date(2026, 3, 10),
            file=PDF,
            actor_id=officer.id,
            now=now,
            shown_minor=128000,
        )
    sign_in(client, officer)
    assert 'value="100000"' in client.get(f"/staff/fapiao/{asked.public_id}").text
    give_back(order, 100000, officer, now=now)
    assert asked.state == "withdrawn"


def stripe_paid(sandbox, *, now):
    order = place(make_run(), now=now)
    sandbox.pay(start(order, now=now))
    attempts.settle_returned(order.id, now=now)
    return order


def give_back(order, minor, officer, *, now):
    amount = Money(minor, "CNY")
    refunds.request_refund(order.id, amount, reason="x", ends_place=False, actor_id=officer.id, now=now)
    jobs.run_pending()
    db.session.expire_all()


def test_a_refund_of_a_bank_transfer_waits_for_the_reversal_too(order, officer, now):
    db.session.query(PaymentAttempt).one().method = "offline"
    made = issued(order, officer, now=now)
    give_back(order, 28000, officer, now=now)
    refund = db.session.query(Refund).one()
    sent = {"bank_reference": "B1", "sent_on": bank_days.day_of(now), "reason": "x", "actor_id": officer.id, "now": now}

    assert made.state == "reversal_needed"
    with pytest.raises(Refused, match="waits_for_fapiao"):
        offline.refund_sent(refund.public_id, **sent)
    fapiao.reverse(made.public_id, number="2", file=PDF, actor_id=officer.id, now=now)
    assert offline.refund_sent(refund.public_id, **sent).state == "succeeded"


@pytest.mark.parametrize("gone_by", ["dispute", "dashboard"])
def test_a_fapiao_over_money_that_went_back_without_us_is_to_be_reversed(client, sandbox, officer, now, gone_by):
    order = stripe_paid(sandbox, now=now)
    attempt = db.session.query(PaymentAttempt).filter_by(order_id=order.id).one()
    made = issued(order, officer, now=now)
    if gone_by == "dispute":
        charge = sandbox.store.find(attempt.payment_intent_id)["latest_charge"]
        dispute = bank.open_dispute(sandbox.store, charge)
        bank.close(sandbox.store, dispute["id"], is_won=False)
        assert disputes.sync(dispute["id"], now=now) is True
    else:
        refund = dashboard.create(sandbox.store, {"payment_intent": attempt.payment_intent_id, "amount": "28000"})
        assert refunds.sync(refund["id"], now=now) is True

    assert (made.state, fapiao.holds_refund_up(made)) == ("reversal_needed", False)
    assert "refund_waits_for_fapiao" not in [event.kind for event in order.events]
    sign_in(client, order.person)
    page = client.get(f"/orders/{order.public_id}/invoice?lang=en").text
    assert ("The fapiao has to be reversed" in page, "Your refund waits" in page) == (True, False)
    sign_in(client, officer)
    assert "has gone back already" in client.get(f"/staff/fapiao/{made.public_id}?lang=en").text
