"""Finance staff at their desk: a refund, a bank transfer under four eyes, a difference that was found, the books."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from marketplace.enrolment.models import Order
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.payments import stripe_matching
from marketplace.payments.desk_models import OfflinePayment
from marketplace.payments.models import Discrepancy
from marketplace.payments.offline_rules import normalised
from tests.factories import make_staff
from tests.journeys.test_seat import GOOD, offered, pay, somebody, take_seat, words
from tests.journeys.visitor import DESK, PHONE, Visitor, until

BOTH = pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])


def bought(browser, live, language, size):
    """A learner pays by card; the number of the order."""
    run, *_ = offered(live)
    visitor, _ = somebody(browser, live, language, size)
    take_seat(visitor, run)
    number = visitor.page.url.rpartition("/")[2]
    pay(visitor, words(visitor)["pay"], number=GOOD)
    visitor.sees_soon("Your place is confirmed")
    return visitor, number


def officer(browser, live, language, size):
    with live.app.app_context():
        person = make_staff("finance_officer", locale=language)
    return Visitor(browser, live, language, size).be(person)


def find(desk, what):
    """Type into the one box."""
    desk.open("/staff/desk")
    desk.page.fill("#desk-search", what)
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_url("**/staff/orders/**")
    desk.look()


@BOTH
def test_a_refund_from_the_search_box_to_the_buyers_page(browser, live, language, size):
    buyer, number = bought(browser, live, language, size)
    desk = officer(browser, live, language, size)
    find(desk, number)
    desk.sees("The place is sold; its revenue is shared when the run is over.")
    desk.sees("Where every yuan is")

    desk.page.get_by_text(desk.say("Give money back")).first.click()
    desk.page.fill("#amount", "280.00")
    desk.page.fill("#reason", "late start")
    desk.page.get_by_label(desk.say("The person stays enrolled")).check()
    desk.look()
    desk.press("Give back")
    desk.sees_soon("Given back to the learner")
    desk.sees("Refund asked for")

    buyer.page.reload()
    buyer.look()
    buyer.sees("Your money in words")
    assert "280.00" in buyer.page.inner_text("main")


def reconcile(live):
    """What the worker does before dawn, by a clock ahead of it: what is young waits for the next time."""
    app, settings = live.app, live.app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(settings, stripe_api_base=live.sandbox)
    try:
        with app.app_context():
            now = clock.now() + timedelta(minutes=15)
            return stripe_matching.reconcile(now=now)
    finally:
        app.config["SETTINGS"] = settings


@BOTH
def test_a_difference_to_stripe_waits_in_the_queue_and_is_closed_with_a_note(browser, live, language, size):
    desk = officer(browser, live, language, size)
    desk.page.request.post(f"{live.sandbox}/switches", form={"balance_differs": "1"})
    _, number = bought(browser, live, language, size)
    reconcile(live)

    desk.open("/staff/reconciliation")
    desk.sees(number)
    desk.sees("Another amount")
    desk.open("/staff/queues")
    desk.sees("Stripe's amount differs from ours")
    desk.page.get_by_text(desk.say("Try again or close")).first.click()
    desk.page.get_by_label(desk.say("Reason or what was done")).first.fill("Asked Stripe: they correct it tomorrow.")
    desk.look()
    desk.press("Close it")
    desk.sees("Done, and noted.")
    with live.app.app_context():
        query = db.session.query(Discrepancy).filter_by(kind="amount_differs").order_by(Discrepancy.id.desc())
        assert query.first().note == "Asked Stripe: they correct it tomorrow."


@BOTH
def test_a_large_bank_transfer_is_seen_by_two_officers(browser, live, language, size):
    run, *_ = offered(live, price_minor=900000)
    buyer, _ = somebody(browser, live, language, size)
    take_seat(buyer, run)
    order, number = buyer.page.url, buyer.page.url.rpartition("/")[2]
    first, second = (officer(browser, live, language, size) for _ in range(2))

    find(first, number)
    first.page.get_by_text(first.say("Mark paid by bank transfer")).first.click()
    first.page.fill("#transfer-bank_reference", f"ICBC {number}")
    first.page.fill("#transfer-reason", "the employer pays")
    first.look()
    first.press("Enter the transfer")
    first.sees("You entered it, so another finance officer must look at it.")

    find(second, f"icbc{number}")
    second.page.get_by_label(second.say("Reason or what was done")).first.fill("seen at the bank")
    second.press("Approve the transfer")
    second.sees("Done, and noted.")
    second.sees("Confirmed")

    def is_confirmed():
        with live.app.app_context():
            return db.session.query(Order.state).filter_by(public_id=number).scalar() == "confirmed"

    until(is_confirmed, lambda: live.log("web")[-2000:])
    buyer.open(order)
    buyer.sees("Your place is confirmed")
    with live.app.app_context():
        settled = db.session.query(OfflinePayment).filter_by(bank_reference=normalised(f"ICBC {number}")).one()
        assert (settled.state, settled.proposed_by_id != settled.decided_by_id) == ("settled", True)


@BOTH
def test_the_books_of_any_day_are_read_and_saved(browser, live, language, size):
    desk = officer(browser, live, language, size)
    desk.open("/staff/books")
    desk.sees("Trial balance in %(currency)s", currency="CNY")
    desk.page.fill("#day", "2001-01-01")
    desk.press("Show")
    desk.sees("Nothing is posted by then")
    desk.open("/staff/books")
    with desk.page.expect_download() as saved:
        desk.page.get_by_role("link", name=desk.say("Trial balance as XLSX")).click()
    assert saved.value.suggested_filename.endswith(".xlsx")
