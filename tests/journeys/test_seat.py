"""The main job: find a course, take a seat, pay, and everything that may go wrong between."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from marketplace.catalog import search
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Order, SeatHold
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.payments.sandbox.words import WORDS
from tests.factories import make_course, make_person, make_run, make_staff
from tests.journeys.visitor import DESK, PHONE, Visitor, until

GOOD, DECLINED = "4242 4242 4242 4242", "4000 0000 0000 0002"
BOTH = pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])


def offered(live, **run):
    """A run of a new course that search finds: (public id of the run, Chinese title, English title)."""
    with live.app.app_context(), transaction():
        course = make_course()
        course.title_zh, course.title_en = f"敦煌壁画数字化{course.id}", f"Digital murals {course.id}"
        search.index_course(course, now=clock.now())
        return make_run(course, **run).public_id, course.title_zh, course.title_en


def somebody(browser, live, language, size):
    with live.app.app_context():
        person = make_person(locale=language)
    return Visitor(browser, live, language, size).be(person), person


def take_seat(visitor, run):
    visitor.open(f"/runs/{run}/enrol")
    visitor.press("Take the seat")


def pay(visitor, button, *, number=GOOD):
    """From the order to the payment page and on."""
    visitor.page.get_by_role("main").get_by_role("button", name=re.compile(r"1,280\.00")).click()
    if number and visitor.page.locator("#number").count():
        visitor.page.fill("#number", number)
    visitor.page.get_by_role("button", name=button, exact=True).click()


def words(visitor):
    return WORDS[visitor.language]


@BOTH
def test_from_a_search_to_a_paid_seat(browser, live, language, size):
    _run, title_zh, title_en = offered(live)
    visitor, person = somebody(browser, live, language, size)
    title = title_zh if language == "zh" else title_en

    visitor.open("/")
    visitor.page.fill("#site-search", title)
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/courses?**")
    visitor.look()
    visitor.follow(title)
    visitor.page.get_by_role("main").locator("a[href*='/enrol']").first.click()
    visitor.look()
    visitor.press("Take the seat")
    expect(visitor.page.locator("[data-until]").first).to_be_visible()

    pay(visitor, words(visitor)["pay"], number=DECLINED)
    expect(visitor.page.get_by_role("alert")).to_have_text(words(visitor)["card_declined"])
    visitor.page.fill("#number", GOOD)
    visitor.page.get_by_role("button", name=words(visitor)["pay"], exact=True).click()

    visitor.page.wait_for_url(f"{live.address}/orders/**")
    visitor.sees_soon("Your place is confirmed")
    visitor.follow("To my learning")
    visitor.sees(title)
    [mail] = until(lambda: live.inbox.to(person.email), lambda: live.log("worker")[-2000:])
    assert mail["Content-Language"] == {"zh": "zh-CN", "en": "en"}[language]


@BOTH
def test_a_closed_tab_still_gets_the_seat(browser, live, language, size):
    run, *_ = offered(live)
    visitor, _ = somebody(browser, live, language, size)
    take_seat(visitor, run)
    order = visitor.page.url

    pay(visitor, words(visitor)["close"])

    expect(visitor.page.get_by_text(words(visitor)["complete"])).to_be_visible()
    visitor.page.goto(order)
    visitor.sees_soon("Your place is confirmed")


@BOTH
@pytest.mark.parametrize(
    ("outcome", "said"), [("succeed", "Your place is confirmed"), ("fail", "The payment did not succeed")]
)
def test_a_delayed_payment_is_seen_waiting(browser, live, language, size, outcome, said):
    run, *_ = offered(live)
    visitor, _ = somebody(browser, live, language, size)
    take_seat(visitor, run)

    pay(visitor, words(visitor)["delayed"], number=None)
    visitor.page.wait_for_url(f"{live.address}/orders/**")
    number = visitor.page.url.rpartition("/")[2].partition("?")[0]
    visitor.sees_soon("Your payment is on its way")

    session = visitor.page.request.get(f"{live.sandbox}/").text()
    newest = re.search(r"/pay/(cs_test_\w+)", session)[1]
    visitor.page.request.post(f"{live.sandbox}/pay/{newest}/settle", form={"outcome": outcome})
    visitor.sees_soon(said)
    with live.app.app_context():
        state = db.session.query(Order.state).filter_by(public_id=number).scalar()
        assert state == {"succeed": "confirmed", "fail": "awaiting_payment"}[outcome]


@BOTH
def test_a_hold_that_ran_out_says_so_and_offers_the_seat_again(browser, live, language, size):
    run, *_ = offered(live)
    visitor, _ = somebody(browser, live, language, size)
    take_seat(visitor, run)
    public_id = visitor.page.url.rpartition("/")[2]
    with live.app.app_context(), transaction():
        order = db.session.query(Order).filter_by(public_id=public_id).one()
        order.expires_at = db.session.get_one(SeatHold, order.hold_id).until = clock.now() - timedelta(seconds=1)

    visitor.page.reload()
    visitor.sees("Your seat is no longer held")
    visitor.look()
    visitor.follow("Take a seat again")
    visitor.press("Take the seat")
    assert public_id not in visitor.page.url


@BOTH
def test_a_run_without_seats_says_so(browser, live, language, size):
    run, *_ = offered(live, capacity=1)
    first, _ = somebody(browser, live, "en", DESK)
    take_seat(first, run)

    visitor, _ = somebody(browser, live, language, size)
    visitor.open(f"/runs/{run}/enrol")

    visitor.sees("This run is sold out.")
    expect(visitor.page.get_by_role("button", name=visitor.say("Take the seat"))).to_have_count(0)


@BOTH
def test_staff_give_the_money_back_and_the_seat_is_free_again(browser, live, language, size):
    run, *_ = offered(live)
    visitor, _ = somebody(browser, live, language, size)
    take_seat(visitor, run)
    order = visitor.page.url.rpartition("/")[2]
    pay(visitor, words(visitor)["pay"])
    visitor.sees_soon("Your place is confirmed")

    with live.app.app_context():
        officer = make_staff("finance_officer", locale=language)
    staff = Visitor(browser, live, language, size).be(officer)
    staff.open(f"/staff/orders/{order}")
    staff.page.get_by_text(staff.say("Give money back")).first.click()
    staff.page.fill("#amount", "1280.00")
    staff.page.fill("#reason", "课程取消")
    staff.page.get_by_label(staff.say("The enrolment ends now and the seat is free")).check()
    staff.press("Give back")

    visitor.open(f"/orders/{order}")
    visitor.sees_soon("The payment has been given back")
    with live.app.app_context():
        assert db.session.query(CourseRun).filter_by(public_id=run).one().seats_taken == 0
