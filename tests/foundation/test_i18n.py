from __future__ import annotations

from marketplace.foundation.i18n import language, speaking


def test_each_request_speaks_its_own_language_and_a_mail_its_readers(app):
    with app.test_request_context("/?lang=en"):
        assert language() == "en"
        with speaking("zh"):
            assert language() == "zh"
        assert language() == "en"
    with app.test_request_context("/", headers={"Accept-Language": "zh-TW"}):
        assert language() == "zh"


def test_a_switch_by_address_works_for_those_without_cookies(client):
    english = client.get("/courses?lang=en", headers={"Accept-Language": "zh"})
    chinese = client.get("/courses?lang=zh", headers={"Accept-Language": "en"})

    assert ('<html lang="en">' in english.text, '<html lang="zh-Hans-CN">' in chinese.text) == (True, True)
    assert "Set-Cookie" not in english.headers
