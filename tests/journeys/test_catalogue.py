"""Looking for a course: words while one types, filters, orders, pages, the way back, and all of it by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys.visitor import DESK, PHONE, Visitor

BOTH = pytest.mark.parametrize("language", ["zh", "en"])
# The demo's courses and what other journeys add.
ALL = re.compile(r"^(共 \d+ 门课程|\d+ courses)$")


def visitor_of(browser, live, language, size, scheme="light"):
    visitor = Visitor(browser, live, language, size)
    visitor.page.emulate_media(color_scheme=scheme)
    return visitor


def found(visitor):
    return visitor.page.locator("#found")


def facet(visitor, key):
    return visitor.page.locator(f'[id="facet-{key}"]')


def number(text):
    return int(re.search(r"\d+", text)[0])


@BOTH
def test_the_list_answers_while_one_types_and_the_way_back_works(browser, live, language):
    visitor = visitor_of(browser, live, language, DESK)
    page = visitor.page
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    visitor.open("/courses")
    expect(found(visitor)).to_have_text(ALL)
    everything = found(visitor).inner_text()
    page.evaluate("window.stays = true")

    page.keyboard.press("/")
    expect(page.locator("#site-search")).to_be_focused()
    page.keyboard.type("游戏", delay=30)
    expect(found(visitor)).not_to_have_text(everything)
    expect(page).to_have_url(re.compile(r"/courses\?q=%E6%B8%B8%E6%88%8F$"))
    expect(page.locator("#site-search")).to_be_focused()
    with_words = found(visitor).inner_text()
    visitor.look()

    wanted = facet(visitor, "level:introductory")
    count = number(wanted.locator(".count").inner_text())
    wanted.focus()
    page.keyboard.press("Enter")
    expect(wanted).to_have_attribute("aria-current", "true")
    expect(wanted).to_be_focused()
    assert number(found(visitor).inner_text()) == count
    visitor.look()

    page.locator(".chip").first.click()
    expect(found(visitor)).to_have_text(with_words)
    expect(found(visitor)).to_be_focused()
    page.go_back()
    expect(wanted).to_have_attribute("aria-current", "true")
    page.go_back()
    expect(found(visitor)).to_have_text(with_words)
    expect(page.locator("#site-search")).to_have_value("游戏")
    assert (page.evaluate("window.stays"), errors) == (True, [])


@BOTH
def test_pages_follow_without_leaving_the_list_and_a_card_leaves_it(browser, live, language):
    visitor = visitor_of(browser, live, language, DESK, "dark")
    page = visitor.page
    visitor.open("/courses?order=start")
    first = page.locator(".course-card a").first.get_attribute("href")

    page.locator("a[rel=next]").click()
    expect(page).to_have_url(re.compile(r"after="))
    expect(page.locator(".course-card a").first).not_to_have_attribute("href", first)
    expect(found(visitor)).to_be_focused()
    page.go_back()
    expect(page.locator(".course-card a").first).to_have_attribute("href", first)

    page.locator(".course-card a").first.click()
    page.wait_for_url(f"**{first}")
    visitor.look()
    page.locator(".providers a").first.click()
    page.wait_for_url("**/providers/**")
    visitor.look()


@BOTH
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_filters_are_a_sheet_on_a_phone_that_stays_open(browser, live, language, scheme):
    visitor = visitor_of(browser, live, language, PHONE, scheme)
    page = visitor.page
    visitor.open("/courses")
    sheet = page.locator("#filters")
    expect(sheet).to_be_hidden()

    page.locator(".filters-opener").click()
    expect(sheet).to_be_visible()
    facet(visitor, "mode:online").click()
    expect(facet(visitor, "mode:online")).to_have_attribute("aria-current", "true")
    expect(sheet).to_be_visible()
    visitor.look()

    show = sheet.get_by_role("button")
    assert number(show.inner_text()) == number(found(visitor).inner_text())
    show.click()
    expect(sheet).to_be_hidden()
    visitor.look()


@BOTH
def test_an_empty_list_says_how_to_go_on(browser, live, language):
    visitor = visitor_of(browser, live, language, DESK)
    visitor.open("/courses?q=游戏&level=introductory&category=heritage&provider=university&month=2001-01")

    ways = visitor.page.locator(".empty")
    expect(ways).to_be_visible()
    ways.locator(".chip").first.click()
    expect(visitor.page.locator(".course-card").first).to_be_visible()


@pytest.mark.parametrize(("language", "zone", "noted"), [("en", "Europe/London", True), ("zh", "Asia/Shanghai", False)])
def test_moments_are_told_where_the_reader_is_as_well(browser, live, language, zone, noted):
    context = browser.new_context(base_url=live.address, timezone_id=zone, locale="en-GB")
    page = context.new_page()
    page.goto("/courses?seats=left&mode=in_person")
    page.locator(".course-card a").first.click()
    page.wait_for_url(re.compile(r"/courses/\w+$"))

    assert (page.locator("time[data-zone] + .meta").count() > 0) == noted


def test_without_javascript_the_list_is_the_same(browser, live):
    context = browser.new_context(base_url=live.address, java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto("/courses")
    expect(page.locator("#found")).to_have_text(ALL)

    page.locator("#facet-mode\\:online").click()
    page.fill("#site-search", "design")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=design&mode=online|mode=online&q=design"))
    expect(page.locator("#facet-mode\\:online")).to_have_attribute("aria-current", "true")
