"""From the list to a course and back, with the scripts of the page at work."""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys.visitor import DESK, PHONE, Visitor


@pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])
def test_a_card_leads_to_its_course_and_back_to_the_same_list(browser, live, language, size):
    visitor = Visitor(browser, live, language, size)
    page = visitor.page
    visitor.open("/courses?level=advanced")
    card = page.locator("main article h2 a").first
    title = card.inner_text()

    card.click()
    expect(page).to_have_url(re.compile(r"/courses/\w{12}$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    visitor.look()

    page.go_back()
    expect(page).to_have_url(re.compile(r"level=advanced"))
    expect(page.locator("main article h2 a").first).to_have_text(title)
