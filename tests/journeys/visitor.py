"""Somebody with a browser, a language and a screen, who looks at every page with axe."""

import re
import time
from urllib.parse import urlsplit

from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error

from marketplace.foundation.i18n import chinese
from tests.factories import session_of

WAIT_SECONDS = 30
AXE = Axe()
IN_THE_DARK = {"runOnly": ["color-contrast", "link-in-text-block"], "resultTypes": ["violations"]}
MOST_LOOKS = 5
# What a page is made of: colours belong to classes, so pages of the same ones are looked at in the dark once.
PARTS = """() => [...new Set(
    [...document.querySelectorAll("*")].map(part => part.tagName + "." + [...part.classList].join("."))
)].sort().join(" ")"""
_seen_in_the_dark: set[str] = set()
# One page of the same parts in one language is looked at once, whichever order or course it is about.
NUMBER = re.compile(r"\b(?=\w*\d)\w{12}\b|\b\d+\b")
_seen: set[tuple[str, str, str]] = set()
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


class Visitor:
    """Acts on the marketplace `live`; sentences are given in English and looked for in the visitor's language."""

    def __init__(self, browser, live, language, size):
        self.live, self.language = live, language
        # axe is injected into the page, which its policy would refuse.
        # Still colours: axe would measure one on its way from light to dark.
        self.context = browser.new_context(
            base_url=live.address,
            viewport=size,
            bypass_csp=True,
            locale={"en": "en-GB", "zh": "zh-CN"}[language],
            reduced_motion="reduce",
        )
        self.page = self.context.new_page()

    def say(self, sentence, **values):
        """The sentence in the visitor's language."""
        said = chinese().gettext(sentence) if self.language == "zh" else sentence
        return said % values if values else said

    def be(self, person):
        """Sign in without the sign-in page."""
        cookie, _ = session_of(self.live.app, person)
        self.context.add_cookies([{"name": "session", "value": cookie, "url": self.live.address}])
        return self

    def speak(self):
        """See pages in the visitor's language rather than in that of the account."""
        self.context.add_cookies([{"name": "language", "value": self.language, "url": self.live.address}])
        return self

    def open(self, path):
        """Go somewhere and look."""
        self.page.goto(path)
        self.look()

    def look(self):
        """Find no fault with the page for people who see, hear or move otherwise, in the light and in the dark."""
        look_with_axe(self.page)

    def press(self, sentence, **values):
        """Press the button of this name and look at what comes."""
        name = re.compile(re.escape(self.say(sentence, **values)))
        self.page.get_by_role("main").get_by_role("button", name=name).first.click()
        self.look()

    def follow(self, sentence, **values):
        """Follow the link of this name and look at what comes."""
        self.page.get_by_role("main").get_by_role("link", name=self.say(sentence, **values)).first.click()
        self.look()

    def sees(self, sentence, **values):
        """The sentence is on the page."""
        self.page.get_by_text(self.say(sentence, **values)).first.wait_for(timeout=5000)

    def sees_soon(self, sentence, **values):
        """The sentence is on the page, now or after looking again for a while: work of the worker."""
        until(lambda: self._finds_after_reload(sentence, values), lambda: self.page.inner_text("body"))
        self.look()

    def _finds_after_reload(self, sentence, values):
        if self.page.get_by_text(self.say(sentence, **values)).count():
            return True
        self.page.reload()
        return False


def look_with_axe(page):
    """Find no fault; a look that the next page came into is no look, and is taken again at that page."""
    came = []

    def note(frame):
        came.append(frame)

    page.on("framenavigated", note)
    try:
        for _ in range(MOST_LOOKS):
            came.clear()
            page.wait_for_load_state()
            try:
                _look(page)
            except (Error, AssertionError):
                # axe found itself in a document that was gone, or half there. Without a new page it is a fault.
                page.wait_for_load_state()
                if not came:
                    raise
            if not came:
                return
        raise AssertionError(f"{page.url} never came to rest")
    finally:
        page.remove_listener("framenavigated", note)


def _look(page):
    """Every rule in the light; in the dark only what the dark changes, which is colour."""
    # Without motion, now and afterwards: a colour half-way from light to dark is nobody's.
    page.emulate_media(reduced_motion="reduce")
    parts = page.evaluate(PARTS)
    seen = (NUMBER.sub("*", urlsplit(page.url).path), page.evaluate("document.documentElement.lang"), parts)
    if seen in _seen:
        return
    found = AXE.run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
    _seen.add(seen)
    if parts in _seen_in_the_dark:
        return
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    # axe is in the page already: bringing it there again takes longer than its two rules.
    found = AxeResults(page.evaluate("options => axe.run(options)", IN_THE_DARK))
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert found.violations_count == 0, f"{page.url} in the dark\n{found.generate_report()}"
    _seen_in_the_dark.add(parts)


def until(happened, explain):
    """Wait for what other processes do; returns its first true value, or fails with the explanation."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := happened()):
        assert time.monotonic() < deadline, explain()
        time.sleep(0.2)
    return found
