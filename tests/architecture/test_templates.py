"""Templates keep to the policy of the pages: nothing inline, one visual language, nothing unused."""

import re

import pytest

from tests.architecture.source import modules, templates

PAGES = [(name, text) for name, text in templates() if name.endswith(".html") and not name.startswith("emails/")]
TEXTS = dict(templates())
INLINE = {
    "style attribute": re.compile(r"<[a-z][^>{}]*\sstyle\s*=", re.IGNORECASE),
    "event attribute": re.compile(r"<[a-z][^>{}]*\son[a-z]+\s*=", re.IGNORECASE),
    "style element": re.compile(r"<style(?![^>]*nonce)", re.IGNORECASE),
    "script element": re.compile(r"<script(?![^>]*(\ssrc=|nonce=))", re.IGNORECASE),
    "javascript: address": re.compile(r"javascript:", re.IGNORECASE),
    "address of another site": re.compile(r"<(script|link|img)[^>]*(src|href)=[\"']https?://", re.IGNORECASE),
}


@pytest.mark.parametrize("fault", INLINE)
def test_nothing_inline(fault):
    found = [f"{name}: {match[0]}" for name, text in PAGES if (match := INLINE[fault].search(text))]

    assert found == []


def test_no_empty_translation_call_and_no_chinese_outside_content():
    """What people read goes through gettext; Chinese belongs to translations/zh and to the names of languages."""
    chinese = re.compile(r"[\u4e00-\u9fff]")
    comments = re.compile(r"{#.*?#}", re.DOTALL)
    allowed = {"中文", "简体中文", "中"}
    found = [
        f"{name}: {run}"
        for name, text in PAGES
        if not name.startswith(("foundation/styleguide", "styleguide"))
        for run in re.findall(r"[\u4e00-\u9fff]+", comments.sub("", text))
        if chinese.search(run) and run not in allowed
    ]

    assert found == []


def test_every_template_is_used():
    written = "\n".join([*(module.text for module in modules()), *TEXTS.values()])
    # Mails are named by their message, errors by their status, Flask-Security's by its settings.
    unused = [
        name for name in TEXTS if not name.startswith(("emails/", "errors/", "security/")) and name not in written
    ]

    assert unused == []


def test_a_mail_has_subject_text_and_html():
    stems = {re.sub(r"\.(subject\.txt|txt|html)$", "", name) for name in TEXTS if name.startswith("emails/")}
    incomplete = [
        f"{stem}.{kind}"
        for stem in sorted(stems)
        if not stem.rpartition("/")[2].startswith(("_", "base", "layout"))
        for kind in ("subject.txt", "txt", "html")
        if f"{stem}.{kind}" not in TEXTS
    ]

    assert incomplete == []
