from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from marketplace.enrolment import cancellations, orders, places, policies
from marketplace.enrolment.models import Enrolment, RefundDue
from marketplace.enrolment.refund_rules import Ground, Verdict
from marketplace.foundation import clock, ids, jobs
from marketplace.foundation.database import add, db, savepoint, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money
from marketplace.payments import invoices, paper, refunds, sellers
from marketplace.payments.invoice_models import Invoice, InvoiceSeries, Seller
from marketplace.payments.invoices import BilledTo
from marketplace.payments.kept import kept_of
from marketplace.payments.models import PaymentAttempt, Purpose, Refund
from tests.buying import place_order
from tests.factories import make_course, make_organisation, make_person, make_run, make_staff, sign_in

MARCH = datetime(2026, 3, 10, 2, tzinfo=UTC)
WEN = BilledTo(kind="personal", title="林文")
STUDIO = BilledTo(kind="company", title="Mural Studio Ltd", tax_number="91110000600037341L", payer="Mural Studio Ltd")


def yijiang(**values):
    given = {
        "name_zh": "艺匠",
        "name_en": "Yijiang",
        "tax_number": "91110000600037341L",
        "prefix": "YJ",
        "zone": "Asia/Shanghai",
    }
    with transaction():
        return add(Seller(**(given | values)))


def paid_order(run=None, *, now, person=None):
    """An order whose money has come, booked without Stripe."""
    run, someone = run or make_run(), person or make_person(name="林文")
    order = place_order(run.id, someone.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)
    order_id = order.id
    with transaction():
        attempt = PaymentAttempt(
            order_id=order_id, state="paid", amount_minor=128000, currency="CNY", expires_at=now, paid_at=now
        )
        add(attempt)
        orders.confirm_payment(order_id, attempt_public_id=attempt.public_id, amount=attempt.amount, now=now)
    return db.session.get_one(type(order), order_id)


@pytest.fixture
def seller(app):
    clock.set_to(MARCH)
    return yijiang()


@pytest.fixture
def order(seller):
    return paid_order(now=MARCH)


def give_back(order, minor, *, at):
    """A refund that went through."""
    attempt = db.session.query(PaymentAttempt).filter_by(order_id=order.id).one()
    values = {"amount_minor": minor, "currency": "CNY", "reason": "asked", "state": "succeeded"}
    with transaction():
        fact = add(
            RefundDue(
                key=ids.public_id(),
                order_id=order.id,
                attempt_public_id=attempt.public_id,
                amount_minor=minor,
                currency="CNY",
                reason="staff",
                recorded_at=at,
            )
        )
        return add(Refund(attempt_id=attempt.id, refund_due_id=fact.id, created_at=at, settled_at=at, **values))


def test_an_invoice_says_what_was_paid_by_whom_to_whom(order):
    made = invoices.issue(order.id, STUDIO, actor_id=order.person_id, now=MARCH)

    assert (made.printed_number, made.total, made.payer, made.remitter) == (
        "YJ-2026-000001",
        Money(128000, "CNY"),
        "Mural Studio Ltd",
        "Mural Studio Ltd",
    )
    # Six of every 106, as the terms of all sales say.
    assert (made.tax, invoices.tax_in(order, Money(53000, "CNY"))) == (Money(7245, "CNY"), Money(3000, "CNY"))
    assert made.billed_to["tax_number"] == "91110000600037341L"
    assert made.lines[0]["title_zh"] == order.lines[0].title_zh


def test_credit_notes_together_take_back_the_tax_of_their_invoice(order):
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    for hours in (1, 2):
        give_back(order, 64000, at=MARCH + timedelta(hours=hours))
    invoices.credit_refunds(now=MARCH + timedelta(hours=3))

    notes = db.session.query(Invoice).filter_by(corrects_id=made.id).all()
    assert [note.total_minor for note in notes] == [64000, 64000]
    assert sum(note.tax_minor for note in notes) == made.tax_minor == 7245


def test_asked_again_in_the_same_words_it_is_the_same(order):
    first = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    second = invoices.issue(order.id, WEN, actor_id=None, now=MARCH + timedelta(days=1))

    assert first.id == second.id


def test_in_other_words_it_is_credited_and_issued_again(order):
    wrong = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    right = invoices.issue(order.id, STUDIO, actor_id=None, now=MARCH)

    papers = [
        (paper.kind, paper.printed_number, paper.total_minor, paper.corrects_id) for paper in invoices.list_of(order.id)
    ]
    assert papers == [
        ("invoice", "YJ-2026-000001", 128000, None),
        ("credit_note", "YJC-2026-000001", 128000, wrong.id),
        ("invoice", "YJ-2026-000002", 128000, None),
    ]
    assert invoices.find_standing(order.id).id == right.id


def test_a_refund_afterwards_is_credited_once(order):
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    refund = give_back(order, 28000, at=MARCH + timedelta(days=1))

    assert [invoices.credit_refunds(now=MARCH + timedelta(days=1)) for _ in range(2)] == [1, 0]
    note = db.session.query(Invoice).filter_by(refund_due_id=refund.refund_due_id).one()
    assert (note.corrects_id, note.total_minor) == (made.id, 28000)
    assert invoices.credit_left(made) == Money(100000, "CNY")
    assert kept_of(order, Purpose.ORDER) == Money(100000, "CNY")


def test_a_refund_before_the_invoice_is_not_in_it(order):
    give_back(order, 28000, at=MARCH - timedelta(seconds=1))
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)

    assert made.total == Money(100000, "CNY")
    assert invoices.credit_refunds(now=MARCH) == 0


def test_nothing_is_invoiced_when_everything_went_back(order):
    give_back(order, 128000, at=MARCH)

    with pytest.raises(Refused, match="nothing_to_invoice"):
        invoices.issue(order.id, WEN, actor_id=None, now=MARCH)


def test_an_unpaid_order_has_no_invoice(seller):
    run, person = make_run(), make_person()
    order = place_order(run.id, person.id, shown_price=run.price, request_key="k", locale="zh", now=MARCH)

    with pytest.raises(Refused, match="order_not_paid"):
        invoices.issue(order.id, WEN, actor_id=None, now=MARCH)


def test_a_year_begins_at_midnight_of_the_seller(seller):
    before = datetime(2026, 12, 31, 15, 59, tzinfo=UTC)
    numbers = []
    for moment in (before, before + timedelta(minutes=1)):
        made = invoices.issue(paid_order(now=MARCH).id, WEN, actor_id=None, now=moment)
        numbers.append(made.printed_number)

    assert numbers == ["YJ-2026-000001", "YJ-2027-000001"]


def test_an_undone_invoice_leaves_no_gap(order):
    def issue_and_fail():
        with savepoint():
            invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
            raise Refused("undone", "undone")

    with transaction(), pytest.raises(Refused, match="undone"):
        issue_and_fail()
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)

    assert made.printed_number == "YJ-2026-000001"


def test_a_provider_that_sells_in_its_own_name_is_the_seller(seller):
    university = make_organisation()
    yijiang(organisation_id=university.id, prefix="UNI", name_zh="大学")
    order = paid_order(make_run(make_course(university)), now=MARCH)

    assert invoices.issue(order.id, WEN, actor_id=None, now=MARCH).printed_number == "UNI-2026-000001"


def test_without_a_seller_the_reader_is_told(app):
    clock.set_to(MARCH)
    order = paid_order(now=MARCH)

    with pytest.raises(Refused, match="no_seller"):
        invoices.issue(order.id, WEN, actor_id=None, now=MARCH)


def test_an_invoice_is_never_changed(order):
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)

    with pytest.raises(DBAPIError, match="append-only"), db.session.begin_nested():
        db.session.query(Invoice).filter_by(id=made.id).update({"total_minor": 1})


def test_the_prefix_stays_once_a_number_was_given(order, seller):
    invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    values = {name: getattr(seller, name) for name in (*sellers.FIELDS, "tax_number")}

    assert sellers.save(None, values | {"name_zh": "新名"}).name_zh == "新名"
    with pytest.raises(Invalid, match="prefix_used"):
        sellers.save(None, values | {"prefix": "NEW"})


@pytest.mark.parametrize(("language", "title"), [("zh", "账单"), ("en", "Invoice")])
def test_the_pdf_says_it_in_its_language(app, order, language, title):
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    with app.test_request_context():
        data = paper.data_of(made)
        pdf = paper.pdf_of(made, language)
        assert paper.pdf_of(made, language) == pdf
    assert pdf.startswith(b"%PDF-1.7")
    assert data["total"]["value"] == "¥1,280.00"
    # PDF/A keeps the title readable for programs, in UTF-16 or plain.
    assert title.encode("utf-16-be") in pdf or title.encode() in pdf


def test_the_learner_issues_it_on_a_page_and_others_see_nothing(client, order):
    sign_in(client, order.person)
    page = client.get(f"/orders/{order.public_id}/invoice?lang=en")
    assert page.status_code == 200
    answer = client.post(f"/orders/{order.public_id}/invoice", data={"kind": "personal", "title": ""})
    assert answer.status_code == 422
    answer = client.post(f"/orders/{order.public_id}/invoice", data={"kind": "personal", "title": "林文"})
    assert answer.status_code == 303

    page = client.get(f"/orders/{order.public_id}/invoice").text
    address = re.search(r"/invoices/\w+\.pdf\?language=zh", page)[0]
    file = client.get(address)
    assert (file.status_code, file.mimetype) == (200, "application/pdf")
    assert "attachment" in file.headers["Content-Disposition"]
    sign_in(client, make_person())
    assert client.get(address).status_code == 404
    assert client.get(f"/orders/{order.public_id}/invoice").status_code == 404
    sign_in(client, make_staff("finance_officer"))
    assert client.get(address).status_code == 200
    assert "YJ-2026-000001" in client.get("/staff/invoices").text


def test_finance_staff_set_up_the_seller(client, app):
    sign_in(client, make_staff("finance_officer"))
    wrong = {"name_zh": "艺匠", "tax_number": "91110000600037341X", "prefix": "YJ"}
    answer = client.post("/staff/seller?lang=zh", data=wrong)
    assert answer.status_code == 422
    assert 'value="艺匠"' in answer.text
    assert client.post("/staff/seller", data=wrong | {"tax_number": "91110000600037341L"}).status_code == 303
    assert db.session.query(Seller).one().prefix == "YJ"


def test_the_series_knows_the_last_number(order):
    invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    invoices.issue(order.id, STUDIO, actor_id=None, now=MARCH)

    rows = db.session.query(InvoiceSeries.kind, InvoiceSeries.year, InvoiceSeries.last_number).order_by("kind")
    assert list(rows) == [("credit_note", 2026, 1), ("invoice", 2026, 2)]
    assert refunds.refundable(db.session.query(PaymentAttempt).filter_by(order_id=order.id).one()).minor == 128000
    jobs.run_pending()


def test_what_was_paid_twice_and_given_back_is_on_no_credit_note(order):
    invoices.issue(order.id, WEN, actor_id=order.person_id, now=MARCH)
    later = MARCH + timedelta(minutes=5)
    refund = give_back(order, 128000, at=later)
    refund.refund_due.reason = "paid_twice"
    db.session.flush()

    assert invoices.credit_refunds(now=later) == 0


def test_money_on_its_way_back_when_the_invoice_is_made_is_credited_never(order):
    """The job that sends a refund comes after the decision; the invoice between the two is without it already."""
    refund = give_back(order, 28000, at=MARCH)
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH + timedelta(seconds=1))
    refund.created_at = MARCH + timedelta(seconds=2)
    db.session.flush()

    assert invoices.credit_refunds(now=MARCH + timedelta(seconds=3)) == 0
    assert invoices.credit_left(made) == Money(100000, "CNY")


def test_what_was_dated_before_the_invoice_and_came_after_it_is_credited(order):
    """Whoever gives money back takes the time, then waits for the lock that the invoice is made under."""
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH + timedelta(seconds=2))
    give_back(order, 28000, at=MARCH + timedelta(seconds=1))
    later = MARCH + timedelta(minutes=5)
    assert [invoices.credit_refunds(now=later), invoices.credit_refunds(now=later)] == [1, 0]
    assert invoices.credit_left(made) == kept_of(order, Purpose.ORDER) == Money(100000, "CNY")


def test_whoever_waited_for_the_lock_is_not_credited_below_what_is_kept(order):
    """The decision to give back has a later time than the invoice, though it was there first."""
    give_back(order, 28000, at=MARCH + timedelta(seconds=1))
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)

    assert (made.total_minor, invoices.credit_refunds(now=MARCH + timedelta(seconds=2))) == (100000, 0)


def test_a_refund_that_failed_for_good_is_invoiced_when_asked_again(order):
    refund = give_back(order, 28000, at=MARCH)
    first = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    refund.state, refund.refund_due.voided_at = "failed", MARCH
    db.session.flush()
    second = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)

    assert (first.total_minor, second.total_minor) == (100000, 128000)
    assert invoices.credit_left(first).is_zero
    assert invoices.issue(order.id, WEN, actor_id=None, now=MARCH).id == second.id


def test_a_dispute_that_was_lost_is_credited(order):
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    attempt = db.session.query(PaymentAttempt).filter_by(order_id=order.id).one()
    lost_at = MARCH + timedelta(days=9)
    with transaction():
        values = {"amount_minor": 128000, "currency": "CNY", "reason": "dispute_lost", "source": "dispute"}
        add(RefundDue(key="d", order_id=order.id, attempt_public_id=attempt.public_id, recorded_at=lost_at, **values))

    assert [invoices.credit_refunds(now=lost_at) for _ in range(2)] == [1, 0]
    assert invoices.credit_left(made).is_zero


def cancelled(order, *, kept_percent, now):
    """The place is given up, and the terms keep a part."""
    [enrolment] = db.session.query(Enrolment).filter_by(person_id=order.person_id)
    with transaction():
        place = places.lock(enrolment.id)
        verdict = Verdict(Ground.POLICY, kept_percent, now)
        statement = cancellations._statement(place, policies.terms_of(order.lines[0].policy_id), verdict)
        cancellations.carry_out(place, statement, actor_id=order.person_id, reason="", now=now)
    with transaction():
        for fact in db.session.query(RefundDue).filter_by(order_id=order.id):
            values = {"amount_minor": fact.amount_minor, "currency": "CNY", "reason": fact.reason}
            attempt = db.session.query(PaymentAttempt).filter_by(order_id=order.id).one()
            add(Refund(attempt_id=attempt.id, refund_due_id=fact.id, state="succeeded", created_at=now, **values))


def test_what_is_kept_of_a_cancelled_order_has_an_invoice(app, client, order):
    cancelled(order, kept_percent=30, now=MARCH)
    assert order.state == "cancelled"
    sign_in(client, order.person)
    page = client.get(f"/orders/{order.public_id}/invoice?lang=en").text
    assert "The invoice is for the part of the price that is kept." in page
    answer = client.post(f"/orders/{order.public_id}/invoice", data={"kind": "personal", "title": "林文"})
    assert answer.status_code == 303

    [made] = invoices.list_of(order.id)
    assert (made.printed_number, made.total) == ("YJ-2026-000001", Money(38400, "CNY"))
    with app.test_request_context(), speaking("en"):
        data = paper.data_of(made)
    assert (data["lines"][0]["amount"], data["total"]["value"]) == ("CN¥384.00", "CN¥384.00")
    assert [row["label"] for row in data["sums"]] == ["Net amount", "Tax included"]
    assert "The order is cancelled" in data["notes"][0]


def test_a_cancellation_after_the_invoice_is_credited_down_to_what_is_kept(order):
    made = invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
    cancelled(order, kept_percent=30, now=MARCH + timedelta(days=1))

    assert invoices.credit_refunds(now=MARCH + timedelta(days=1)) == 1
    assert invoices.credit_left(made) == Money(38400, "CNY")
    # And it can still be made out to somebody else.
    anew = invoices.issue(order.id, STUDIO, actor_id=None, now=MARCH + timedelta(days=2))
    assert (anew.total_minor, anew.printed_number) == (38400, "YJ-2026-000002")


def test_nothing_is_invoiced_of_a_cancelled_order_that_keeps_nothing(order):
    cancelled(order, kept_percent=0, now=MARCH)

    with pytest.raises(Refused, match="nothing_to_invoice"):
        invoices.issue(order.id, WEN, actor_id=None, now=MARCH)
