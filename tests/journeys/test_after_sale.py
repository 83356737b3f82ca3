"""After the sale: a place is cancelled for a part, moved to another date, and a run is cancelled with its people."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import places, policies
from marketplace.enrolment.models import Order
from marketplace.enrolment.refund_rules import Tier
from marketplace.enrolment.run_change_models import RunChangeAnswer
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.payments import debts, refunds
from marketplace.payments.sandbox.words import WORDS
from tests.factories import make_member, make_person, make_run
from tests.journeys.test_seat import BOTH, GOOD, offered, pay, somebody, take_seat, words
from tests.journeys.visitor import DESK, PHONE, Visitor, until
from tests.payments.test_debts import indebted


def bought(visitor, live, run):
    """A paid place: the public ids of its order and of its enrolment."""
    take_seat(visitor, run)
    order = visitor.page.url.rpartition("/")[2]
    pay(visitor, words(visitor)["pay"])
    visitor.sees_soon("Your place is confirmed")
    with live.app.app_context():
        row = db.session.query(Order).filter_by(public_id=order).one()
        return order, places.find_of_order(row.id).public_id


@BOTH
def test_a_place_is_cancelled_and_a_part_goes_back(browser, live, language, size):
    with live.app.app_context():
        starts_at = clock.now() + timedelta(days=10)
    run, *_ = offered(live, starts_at=starts_at, ends_at=starts_at + timedelta(days=8), enrol_closes_at=starts_at)
    with live.app.app_context():
        provider = db.session.query(CourseRun).filter_by(public_id=run).one().course.providers[0].organisation_id
        policies.set_for_provider(
            provider,
            [Tier(14, 0), Tier(7, 30)],
            withdrawal_days=0,
            deferral_days=3,
            actor_id=make_person().id,
            now=clock.now(),
        )
    visitor, _ = somebody(browser, live, language, size)
    order, _place = bought(visitor, live, run)

    visitor.open(f"/orders/{order}")
    visitor.follow("Cancel your place")
    visitor.sees("By the terms of your order, %(percent)s%% of the price is kept.", percent=30)
    expect(visitor.page.locator(".stat-number")).to_contain_text("896.00")
    visitor.press("Cancel my place")
    visitor.sees("This place is cancelled")
    with live.app.app_context():
        # What the worker does each minute.
        refunds.take_up_refunds(now=clock.now())

    visitor.open(f"/orders/{order}")
    visitor.sees_soon("The payment has been given back")


@BOTH
def test_a_place_moves_to_a_dearer_date_once_the_difference_is_paid(browser, live, language, size):
    run, *_ = offered(live)
    with live.app.app_context():
        course = db.session.query(CourseRun).filter_by(public_id=run).one().course
        later = make_run(course, starts_at=clock.now() + timedelta(days=60), ends_at=clock.now() + timedelta(days=70))
        later.price_minor, later.enrol_closes_at = 256000, clock.now() + timedelta(days=50)
        db.session.commit()
    visitor, _ = somebody(browser, live, language, size)
    order, place = bought(visitor, live, run)

    visitor.open(f"/my/places/{place}/move")
    visitor.press("Move to this date")
    pay(visitor, words(visitor)["pay"])
    visitor.page.wait_for_url(f"{live.address}/orders/**")
    visitor.sees_soon("Your place is confirmed")
    visitor.open(f"/orders/{order}")
    visitor.sees("What happened so far")
    with live.app.app_context():
        assert db.session.query(CourseRun).filter_by(public_id=run).one().seats_taken == 0


@pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])
def test_a_run_is_cancelled_with_everyone_in_it(browser, live, language, size):
    run, *_ = offered(live)
    visitor, person = somebody(browser, live, language, size)
    bought(visitor, live, run)
    with live.app.app_context():
        provider = db.session.query(CourseRun).filter_by(public_id=run).one().course.providers[0].organisation
        registrar = make_member(provider, "registrar", locale=language)

    staff = Visitor(browser, live, language, size).be(registrar)
    staff.open(f"/manage/runs/{run}/changes")
    staff.page.get_by_label(staff.say("It is cancelled")).check()
    staff.page.get_by_label(staff.say("Reason")).fill("讲师生病 / The teacher is ill")
    staff.press("Change the run and tell everyone")
    staff.sees_soon("Told, no answer yet")
    progress = staff.page.url

    mails = until(lambda: [m for m in live.inbox.to(person.email) if "/my/run-changes/" in str(m)], lambda: "no mail")
    assert mails
    with live.app.app_context():
        newest = db.session.query(RunChangeAnswer).order_by(RunChangeAnswer.id.desc()).first()
        address = newest.public_id
    visitor.open(f"/my/run-changes/{address}")
    visitor.press("Everything back")
    visitor.sees("This is settled")
    staff.page.goto(progress)
    staff.sees_soon("Everyone is settled")


@BOTH
def test_a_buyer_makes_out_the_invoice_and_asks_for_a_fapiao(browser, live, language, size):
    run, *_ = offered(live)
    visitor, person = somebody(browser, live, language, size)
    order, _place = bought(visitor, live, run)

    visitor.open(f"/orders/{order}")
    visitor.follow("Invoice and fapiao")
    visitor.page.get_by_label(visitor.say("Name on the invoice")).fill("艺匠文化有限公司")
    visitor.press("Issue the invoice")
    visitor.sees("Make it out differently")
    with visitor.page.expect_download() as download:
        visitor.page.locator("main table a").first.click()
    assert download.value.suggested_filename.endswith(".pdf")

    visitor.page.get_by_label(visitor.say("Name on the fapiao")).fill("李")
    visitor.page.get_by_label(visitor.say("E-mail for the fapiao")).fill(person.email)
    visitor.press("Ask for a fapiao")
    visitor.sees("Take the request back")


@BOTH
def test_what_is_owed_for_a_subsidy_is_paid(browser, live, language, size):
    with live.app.app_context():
        order = indebted(now=clock.now())
        person, number = order.person, order.public_id
    visitor = Visitor(browser, live, language, size).be(person).speak()

    visitor.open("/my")
    visitor.follow("See and pay it")
    visitor.page.get_by_role("main").get_by_role("button", name=re.compile(r"640\.00")).click()
    visitor.page.fill("#number", GOOD)
    # The payment page speaks the language of the order, which is English here.
    visitor.page.get_by_role("button", name=WORDS["en"]["pay"], exact=True).click()
    visitor.page.wait_for_url(f"{live.address}/orders/**")
    visitor.sees_soon("Nothing is owed for the subsidy any more")
    with live.app.app_context():
        debt = debts.find(number)
        assert (debt.owed.minor, debt.paid.minor, debt.left.minor) == (64000, 64000, 0)
    visitor.follow("Invoice and fapiao for what you paid later")
    visitor.page.get_by_label(visitor.say("Name on the invoice")).fill("艺匠文化有限公司")
    visitor.press("Issue the invoice")
    visitor.sees("Supplementary invoice")
    with visitor.page.expect_download() as download:
        visitor.page.locator("main table a").first.click()
    assert download.value.suggested_filename.startswith("YJD-")


@BOTH
def test_terms_of_a_run_are_looked_at_and_put_in_force(browser, live, language, size):
    run, *_ = offered(live)
    with live.app.app_context():
        provider = db.session.query(CourseRun).filter_by(public_id=run).one().course.providers[0].organisation
        registrar = make_member(provider, "registrar", locale=language)
    visitor = Visitor(browser, live, language, size).be(registrar)

    visitor.open(f"/desk/runs/{run}")
    visitor.follow("Cancellation terms")
    visitor.page.fill("#days_1", "21")
    visitor.press("Show what learners would read")
    visitor.sees("not in force yet")
    visitor.press("Put these terms in force")
    visitor.sees("This run has terms of its own")
    with live.app.app_context():
        row = db.session.query(CourseRun).filter_by(public_id=run).one()
        terms = policies.in_force_for_run(row)
        assert (terms.run_id, policies.as_terms(terms).tiers[0].days_before) == (row.id, 21)
