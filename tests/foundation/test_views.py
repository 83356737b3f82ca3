from __future__ import annotations

import re
from pathlib import Path

import pytest

from marketplace.foundation import covers
from marketplace.foundation.views import safe_path

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def test_every_page_carries_its_headers_and_a_fresh_nonce(client):
    first, second = client.get("/courses"), client.get("/courses")

    policy = first.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy
    assert re.findall("nonce-([^']+)", policy)[0] not in second.headers["Content-Security-Policy"]
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert first.headers["X-Frame-Options"] == "DENY"
    assert len(first.headers["X-Request-ID"]) == 16


def test_a_visitor_who_only_looks_gets_no_cookie(client):
    assert client.get("/courses").headers.getlist("Set-Cookie") == []


def test_a_request_id_of_a_proxy_is_kept_and_nonsense_is_not(client):
    assert (
        client.get("/healthz", headers={"X-Request-ID": "abcd-1234-efgh"}).headers["X-Request-ID"] == "abcd-1234-efgh"
    )
    assert client.get("/healthz", headers={"X-Request-ID": "<script>"}).headers["X-Request-ID"] != "<script>"


def test_the_chosen_language_is_remembered_and_leads_back(client):
    answer = client.post("/language", data={"language": "en", "next": "/courses?q=a"})
    assert (answer.status_code, answer.location) == (303, "/courses?q=a")
    assert '<html lang="en">' in client.get("/courses").text

    client.post("/language", data={"language": "zh"})
    assert '<html lang="zh-Hans-CN">' in client.get("/courses", headers={"Accept-Language": "en"}).text
    assert client.post("/language", data={"language": "xx"}).status_code == 400


@pytest.mark.parametrize(
    ("accepted", "lang"),
    [("en-GB,en;q=0.9", "en"), ("zh-TW", "zh-Hans-CN"), ("fr,en;q=0.5", "en"), ("fr", "zh-Hans-CN")],
)
def test_a_browser_is_answered_in_its_language(client, accepted, lang):
    assert f'<html lang="{lang}">' in client.get("/courses", headers={"Accept-Language": accepted}).text


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "courses"),
        *("//[", "http://[::1", "/\t/evil.example", "///evil.example"),
    ],
)
def test_nobody_is_led_away(target):
    assert safe_path(target) == "/"


@pytest.mark.parametrize(
    "path", ["/courses?q=a%00b", "/courses/%00", "/courses?skill=99999999999999999999999", "/mail/99999999999999999999"]
)
def test_what_no_table_can_hold_is_refused(client, path):
    assert client.get(path).status_code == 400
    assert client.get("/courses").status_code == 200


def test_errors_speak_the_readers_language_and_machines_get_json(client):
    page = client.get("/nothing?lang=zh")
    assert (page.status_code, "没有找到您要访问的内容" in page.text) == (404, True)

    answer = client.get("/nothing", headers={"Accept": "application/json", "Accept-Language": "en"})
    assert answer.json["message"] == "We could not find what you asked for."


def test_health_asks_nothing_and_readiness_asks_everything(client):
    assert client.get("/healthz").json == {"status": "ok"}

    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["parts"] == {"database": "ok", "migrations": "ok", "worker": "no heartbeat in the last minute"}


def test_a_cover_is_drawn_from_its_address_and_may_be_kept_for_ever(client):
    address = covers.cover_address("p7taknbpq1es", 10)

    answer = client.get(address)
    assert address == f"/covers/{covers.EDITION}/p7taknbpq1es-2.svg"
    assert (answer.mimetype, answer.text) == ("image/svg+xml", covers.cover_svg("p7taknbpq1es", 2))
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/covers/0/p7taknbpq1es-2.svg", "/covers/1/p7taknbpq1es-8.svg"])
def test_no_other_covers_are_drawn(client, path):
    assert client.get(path).status_code == 404


def test_a_missing_file_is_not_kept(client):
    answer = client.get("/static/css/none.css?v=1")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "private, no-cache")


def test_files_of_pages_carry_a_mark_of_their_content(client):
    [sheet] = re.findall(r'href="(/static/css/base\.css\?v=[0-9a-f]{10})"', client.get("/sign-in").text)

    with client.get(sheet) as kept, client.get("/static/css/base.css") as asked_again:
        assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert asked_again.headers["Cache-Control"] == "no-cache"


def test_the_style_guide_shows_the_visual_language(client):
    """Those macros aside that need a row of a room: they are seen on that room's pages."""
    of_rooms = {"course_card", "cover", "picture", "money", "price", "why_price", "facet", "language_text", "companion"}
    of_rooms |= {"group", "heading_text", "languages_of"}
    macros = set(re.findall(r"{% set (\w+) =", (TEMPLATES / "ui" / "all.html").read_text()))
    shown = set(re.findall(r"ui\.(\w+)\(", (TEMPLATES / "styleguide.html").read_text()))

    assert sorted(macros - shown - of_rooms) == []
    page = client.get("/styleguide?lang=en")
    assert (page.status_code, "Only 2 are shown at once." in page.text) == (200, True)
