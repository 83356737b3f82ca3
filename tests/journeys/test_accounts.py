"""A person opens an account, looks after it and leaves it, in each language, by phone and at a desk."""

import re
import time

import pytest

from tests.journeys.visitor import look_with_axe

PASSWORD = "seven quiet lanterns"
WAIT_SECONDS = 30
WORDS = {
    "en": {
        "create": "Create account",
        "confirm": "Confirm and sign in",
        "sign in": "Sign in",
        "save": "Save profile",
        "saved": "Your profile is saved.",
        "change": "Change password",
        "changed": "Your password is changed, and every other sign-in has ended.",
        "sign out": "Sign out",
        "wrong": "The e-mail address or the password is not right.",
    },
    "zh": {
        "create": "创建账号",
        "confirm": "确认并登录",
        "sign in": "登录",
        "save": "保存资料",
        "saved": "个人资料已保存。",
        "change": "修改密码",
        "changed": "密码已修改，其他登录均已退出。",
        "sign out": "退出",
        "wrong": "邮箱或密码不正确。",
    },
}


class Visitor:
    """A browser of one language that looks at every page it opens with axe."""

    def __init__(self, browser, live, language, size):
        self.address = live.address
        self.words = WORDS[language]
        # axe is injected into the page, which its policy would refuse.
        context = browser.new_context(
            reduced_motion="reduce",
            base_url=live.address,
            viewport=size,
            bypass_csp=True,
            locale={"en": "en-GB", "zh": "zh-CN"}[language],
        )
        self.page = context.new_page()

    def open(self, path):
        self.page.goto(path)
        self.look()

    def look(self):
        look_with_axe(self.page)

    def press(self, name):
        self.page.get_by_role("main").get_by_role("button", name=self.words[name], exact=True).click()
        self.look()

    def sees(self, name):
        assert self.page.get_by_text(self.words[name]).first.is_visible()

    def open_account_menu(self):
        """By the keyboard alone; on a phone it stands in the sheet behind the menu button."""
        opener = self.page.locator(".nav-opener")
        if opener.is_visible():
            opener.focus()
            self.page.keyboard.press("Enter")
        self.page.locator("#account-menu summary").focus()
        self.page.keyboard.press("Enter")
        self.look()

    def sign_in(self, email, password):
        self.open("/sign-in")
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self.press("sign in")


def link_mailed_to(live, email):
    """The link in the first mail to an address, when the worker has sent it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not live.inbox.to(email):
        assert time.monotonic() < deadline, live.log("worker")[-2000:]
        time.sleep(0.1)
    return re.search(r"http://\S+", live.inbox.to(email)[0].get_body(("plain",)).get_content())[0]


@pytest.mark.parametrize(
    ("language", "size"), [("zh", {"width": 390, "height": 844}), ("en", {"width": 1280, "height": 800})]
)
def test_an_account_from_its_first_day(browser, live, language, size):
    visitor = Visitor(browser, live, language, size)
    page, email = visitor.page, f"journey.{language}@example.com"

    visitor.open("/register")
    page.fill("#name", "Lin Wen")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.check("#agrees")
    visitor.press("create")
    assert page.url.endswith("/mail-sent")

    visitor.open(link_mailed_to(live, email))
    page.fill("#password", PASSWORD)
    visitor.press("confirm")
    page.select_option("#region", "310000")
    page.select_option("#industry_code", "8850")
    visitor.press("save")
    visitor.sees("saved")
    assert page.input_value("#industry_code") == "8850"

    elsewhere = Visitor(browser, live, language, size)
    elsewhere.sign_in(email, "not the password")
    elsewhere.sees("wrong")
    elsewhere.sign_in(email, PASSWORD)
    visitor.open("/account/sessions")
    assert page.get_by_role("main").get_by_role("button").count() == 2

    visitor.open("/account/password")
    page.fill("#password", PASSWORD)
    page.fill("#new_password", "nine loud umbrellas")
    visitor.press("change")
    visitor.sees("changed")
    elsewhere.page.goto("/account")
    assert "/sign-in" in elsewhere.page.url

    visitor.open_account_menu()
    page.get_by_role("button", name=visitor.words["sign out"], exact=True).click()
    page.goto("/account")
    assert "/sign-in" in page.url
