"""The main paths with the keyboard alone: skip link, search, course, seat, pay page; signing in, menus; publishing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from marketplace.catalog.models import Category, Course, CourseProvider
from marketplace.demo.population import PASSWORD
from marketplace.foundation.database import add, db, transaction
from tests.factories import make_member, make_organisation, make_person, make_staff
from tests.journeys.keyboard import Keyboard
from tests.journeys.test_seat import offered
from tests.journeys.visitor import DESK, PHONE, Visitor

BOTH = pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])


@BOTH
def test_from_the_search_to_the_pay_page(browser, live, language, size):
    _run, title_zh, title_en = offered(live)
    title = title_zh if language == "zh" else title_en
    with live.app.app_context():
        person = make_person(locale=language)
    visitor = Visitor(browser, live, language, size).be(person)
    visitor.open("/")
    keys = Keyboard(visitor)

    assert keys.stop()["name"] == visitor.say("Skip to the content")
    keys.press("Enter")
    assert visitor.page.url.endswith("#main")
    assert keys.stop()["name"] == visitor.say("See all courses")
    keys.press("/")
    assert keys.focused()["id"] == "site-search"
    visitor.page.keyboard.type(title)
    keys.go()
    keys.enter(title, tag="a")
    keys.enter("Enrol", tag="a")
    keys.enter("Take the seat")
    while not re.search(r"1,280\.00", (keys.stop() or {"name": ""})["name"]):
        pass
    keys.go()
    visitor.page.wait_for_url(f"{live.sandbox}/**")


@BOTH
def test_signing_in_and_the_menus(browser, live, language, size):
    visitor = Visitor(browser, live, language, size).speak()
    visitor.open("/sign-in?next=/my")
    keys = Keyboard(visitor)
    keys.type_into("E-mail address", "learner@demo.example")
    keys.type_into("Password", PASSWORD)
    keys.go()
    assert visitor.page.url.endswith("/my")
    visitor.look()

    if size is PHONE:
        keys.tab_to("Menu", tag="button")
        keys.press("Enter")
        expect(visitor.page.locator("#nav")).to_be_visible()
        keys.tab_to("My learning", tag="a")
        keys.press("Escape")
        expect(visitor.page.locator("#nav")).to_be_hidden()
        assert keys.focused()["name"] == visitor.say("Menu")
    else:
        keys.tab_to("Account", tag="summary")
        keys.press("Enter")
        assert keys.tab_to("Profile")["tag"] == "a"
        keys.press("Escape")
        assert keys.focused()["tag"] == "summary"
        expect(visitor.page.get_by_role("link", name=visitor.say("Profile"))).to_be_hidden()


@BOTH
def test_a_provider_publishes_a_course(browser, live, language, size):
    with live.app.app_context(), transaction():
        organisation = make_organisation()
        category = db.session.query(Category).order_by(Category.position).first()
        texts = {"title": "键盘课", "summary": "一句话。", "description": "一段话。"}
        course = add(
            Course(category_id=category.id, outcomes_zh=["会用键盘"], **{f"{k}_zh": v for k, v in texts.items()})
        )
        add(CourseProvider(course_id=course.id, organisation_id=organisation.id))
        editor = make_member(organisation, "editor", locale=language)
        reviewer = make_staff("reviewer", locale=language)
        desk, review = f"/desk/courses/{course.public_id}", f"/staff/reviews/{course.public_id}"

    visitor = Visitor(browser, live, language, size).be(editor)
    visitor.open(desk)
    Keyboard(visitor).enter("Texts", tag="a")
    Keyboard(visitor).enter("Save", tag="button")
    visitor.open(desk)
    Keyboard(visitor).enter("Send to review", tag="button")
    visitor = Visitor(browser, live, language, size).be(reviewer)
    visitor.open(review)
    Keyboard(visitor).enter("Approve and publish", tag="button")
    with live.app.app_context():
        assert db.session.get_one(Course, course.id).state == "published"
    visitor.open(f"/courses/{desk.rpartition('/')[2]}")
