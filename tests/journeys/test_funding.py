"""A seat that a funding programme pays a part of: seen as an estimate, bought with consent, seen by its officer."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from marketplace.enrolment import places
from marketplace.enrolment.subsidising import Agreed
from marketplace.foundation import bank_days, clock
from marketplace.foundation.database import db, transaction
from marketplace.funding import subsidies, subsidy_lists
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Rule
from tests.buying import buy_as_quoted
from tests.factories import make_course, make_person, make_run, make_staff
from tests.funding.made import make_programme, make_subsidy
from tests.journeys.test_seat import pay, words
from tests.journeys.visitor import DESK, PHONE, Visitor
from tests.payments.test_debts import transaction_paid

BOTH = pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])
SHANGHAI = Rule(percent=50, regions=("310000",), industries=("R",), attendance_percent=80, line_cap_minor=150000)


def funded(live):
    """A run that the best programme pays half of: (the run's course and own id, the programme)."""
    with live.app.app_context(), transaction():
        run = make_run(make_course(title_zh="石窟数字采集", title_en="Recording grottoes"), price_minor=256000)
        programme = make_programme(
            rule=SHANGHAI, budget=100_000_000, name_zh="上海从业者补贴", name_en="Shanghai practitioners' grant"
        )
        return run.course.public_id, run.public_id, programme.public_id


@BOTH
def test_a_subsidised_seat_from_the_estimate_to_the_officers_page(browser, live, language, size):
    course, run, programme = funded(live)
    visitor = Visitor(browser, live, language, size)
    visitor.open(f"/courses/{course}")
    expect(visitor.page.get_by_text(re.compile(r"1,280\.00"))).to_be_visible()
    visitor.follow("All conditions")
    visitor.sees("What you do to keep it")

    with live.app.app_context():
        person = make_person(locale=language, region="310000")
    visitor.be(person)
    visitor.open(f"/runs/{run}/enrol?programme={programme}")
    missing = visitor.page.locator("main details:has(a[href='/account'])").first
    if missing.get_attribute("open") is None:
        missing.locator("summary").click()
    visitor.follow("Complete your profile")
    visitor.page.select_option("#industry_code", "8850")
    visitor.press("Save profile")

    visitor.open(f"/runs/{run}/enrol?programme={programme}")
    visitor.sees("Why it pays")
    visitor.page.get_by_text(visitor.say("Why it pays")).click()
    visitor.look()
    visitor.page.check("#agrees")
    visitor.press("Take the seat")
    pay(visitor, words(visitor)["pay"])
    visitor.sees_soon("Your place is confirmed")
    visitor.open("/my/funding")
    visitor.sees("Reserved")

    with live.app.app_context():
        subsidy = db.session.query(Subsidy).filter_by(person_id=person.id).one()
        assert (subsidy.amount_minor, subsidy_lists.find_of_line(subsidy.order_line_id).state) == (128000, "reserved")
        officer = make_staff("funding_officer", locale=language)
    staff = Visitor(browser, live, language, size).be(officer)
    staff.open(f"/staff/funding/{programme}")
    expect(staff.page.locator("[data-chart] svg")).to_be_visible()
    staff.open(f"/staff/funding/{programme}/applications")
    staff.follow(person.name)
    staff.sees("What it was decided from")


@BOTH
def test_an_officer_claims_what_was_earned(browser, live, language, size):
    with live.app.app_context():
        programme, officer = make_programme(), make_staff("funding_officer", locale=language)
        earned = [make_subsidy(programme) for _ in range(2)]
        for one in earned:
            subsidies.earn(one.id, {"attendance_percent": 90}, now=clock.now())
        programme, earned = programme.public_id, earned[0].public_id
    staff = Visitor(browser, live, language, size).be(officer)

    staff.open("/staff/funding")
    for page in ("", "/rule", "/applications", "/refusals", "/claims", "/funnel", "/edit"):
        staff.open(f"/staff/funding/{programme}{page}")
    staff.open(f"/staff/subsidies/{earned}")
    staff.open(f"/staff/funding/{programme}/claims")
    boxes = staff.page.get_by_role("checkbox")
    for index in range(1, boxes.count()):
        boxes.nth(index).uncheck()
    staff.press("Make a batch of the chosen ones")
    staff.sees("Waiting for the funder")
    staff.page.fill("#amount", "640")
    staff.page.fill("#received_on", bank_days.day_of(clock.now()).isoformat())
    staff.page.fill("#bank_reference", f"ICBC {language}")
    staff.press("Mark as paid")
    staff.sees("The batch is marked as paid.")


@BOTH
def test_a_part_of_a_subsidised_price_goes_back_and_the_place_moves_to_a_cheaper_date(browser, live, language, size):
    with live.app.app_context(), transaction():
        now = clock.now()
        run = make_run(make_course(), is_subsidised=True)
        make_run(run.course, price_minor=100_000, starts_at=now + timedelta(days=90), ends_at=now + timedelta(days=95))
        asked = {"programme": make_programme().public_id, "agreed": Agreed(1, is_given=True)}
        buyer = make_person(locale=language, region="310000")
        order = buy_as_quoted(run, buyer, now=now, **asked)
        transaction_paid(order, now=now)
        number, place = order.public_id, places.find_of_order(order.id).public_id
        officer = make_staff("finance_officer", locale=language)

    desk = Visitor(browser, live, language, size).be(officer)
    desk.open(f"/staff/orders/{number}")
    desk.page.get_by_text(desk.say("Give money back")).first.click()
    desk.page.fill("#amount", "140.00")
    desk.page.fill("#reason", "two sessions fell through")
    desk.page.get_by_label(desk.say("The person stays enrolled")).check()
    desk.press("Give back")
    desk.sees("Nothing has gone back yet. This is how it is divided:")
    # Whoever works by keyboard is taken to the shares, and the way on is the next button.
    assert desk.page.evaluate("document.activeElement.innerText").count("140.00") == 2
    desk.page.keyboard.press("Tab")
    with desk.page.expect_navigation():
        desk.page.keyboard.press("Enter")
    desk.sees_soon("Refund asked for")

    visitor = Visitor(browser, live, language, size).be(buyer)
    visitor.open(f"/orders/{number}")
    assert visitor.page.inner_text("main").count("140.00") >= 2
    # Of 1,280 each had paid 640, and then 500; of 1,000 each pays 500.
    visitor.open(f"/my/places/{place}/move")
    visitor.sees("Paid by the funding programme")
    assert visitor.page.inner_text("main").count("500.00") == 1
    visitor.press("Move to this date")
    visitor.sees("Your place has moved to the other date.")
    visitor.open("/my/funding")
    assert "500.00" in visitor.page.inner_text("main")
