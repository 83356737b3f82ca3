"""A buyer sees why a price is what it is and pays with a voucher; staff issue the codes."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from marketplace.catalog import pricing, search
from marketplace.catalog.models import CourseRun
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.enrolment.models import OrderLine
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.funding import voucher_batches
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_models import Voucher
from marketplace.funding.voucher_rules import Terms, ValueKind
from tests.factories import make_course, make_person, make_run, make_staff
from tests.journeys.visitor import DESK, PHONE, Visitor

BOTH = pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])


def offered(live):
    """A run with an early-bird price, and a code that pays CNY 200 of it."""
    with live.app.app_context(), transaction():
        course = make_course()
        run, now = make_run(course), clock.now()
        search.index_course(course, now=now)
        early = Rule(0, RuleKind.EARLY_BIRD, "CNY", percent_off=20, ends_on=(now + timedelta(days=5)).date())
        pricing.add_rule(run.id, early, actor_id=None, now=now)
        terms = Terms(ValueKind.AMOUNT, "CNY", amount=20000, use_cap=1, money_cap=20000)
        batch = voucher_batches.issue(NewBatch("journey", terms), actor_id=None, now=now)
        [voucher] = voucher_batches.list_vouchers(batch.id)
        return run.public_id, voucher_batches.code_of(voucher)


@BOTH
def test_a_voucher_pays_a_part_of_an_early_price(browser, live, language, size):
    run, code = offered(live)
    with live.app.app_context():
        person = make_person(locale=language)
    visitor = Visitor(browser, live, language, size).be(person)
    visitor.open(f"/runs/{run}/enrol")

    visitor.page.get_by_text(visitor.say("Why this price?")).click()
    visitor.sees("This is the price that applies.")
    visitor.look()
    field = visitor.page.get_by_label(visitor.say("Voucher code"))
    field.fill("NO SUCH CODE")
    visitor.press("Apply the code")
    visitor.sees("We do not know this code. Please check it character by character.")
    expect(field).to_have_value("NO SUCH CODE")

    field.fill(code.lower().replace("-", " "))
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator(".bill-total")).to_contain_text("824.00")
    visitor.look()
    visitor.press("Take the seat")
    visitor.page.wait_for_url("**/orders/**")
    expect(visitor.page.locator(".bill-total")).to_contain_text("824.00")
    expect(visitor.page.get_by_role("main").get_by_role("button").first).to_contain_text("824.00")
    with live.app.app_context():
        line = db.session.query(OrderLine).join(CourseRun).filter(CourseRun.public_id == run).one()
        assert (line.price_minor, line.voucher_minor, line.due_minor) == (102400, 20000, 82400)


@BOTH
def test_staff_issue_codes_and_look_at_them(browser, live, language, size):
    with live.app.app_context():
        officer = make_staff("funding_officer", locale=language)
    staff = Visitor(browser, live, language, size).be(officer)
    staff.open("/staff/vouchers")
    staff.follow("Issue codes")
    staff.page.fill("#name", "Journey 行程")
    staff.page.fill("#size", "3")
    staff.page.fill("#amount", "200")
    staff.press("Issue the codes")
    staff.sees("Download all codes (CSV)")
    staff.page.locator("tbody a[href*='/codes/']").first.click()
    staff.look()
    staff.page.get_by_role("main").locator("summary").click()
    staff.page.fill("#reason", "lost 遗失")
    staff.press("End this code now")
    staff.sees("This code has ended")
    with live.app.app_context():
        code = db.session.query(Voucher).filter_by(ended_by_id=officer.id).one()
        assert (code.end_reason, code.batch.size) == ("lost 遗失", 3)
