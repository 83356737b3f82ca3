from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from marketplace.catalog import offer, pricing, search
from marketplace.catalog.models import Category
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from tests.factories import make_course, make_listed_course, make_organisation, make_person, make_run, sign_in


def test_home_shows_what_there_is(client):
    course = make_course(title_en="Game engines for museums")
    make_run(course)
    with transaction():
        search.index_course(course, now=clock.now())

    page = client.get("/?lang=en").text
    assert "Learn the digital crafts of culture" in page
    assert page.count("Game engines for museums") == 2


def test_a_course_page_speaks_the_language_asked_for(client):
    course = make_course(title_zh="游戏引擎", title_en="Game engines")
    make_run(course)

    english = client.get(f"/courses/{course.public_id}?lang=en").text
    chinese = client.get(f"/courses/{course.public_id}?lang=zh").text
    assert "CN¥1,280.00" in english
    assert 'lang="zh-Hans-CN">游戏引擎' in english
    assert "¥1,280.00" in chinese
    assert "报名截止" in chinese


@pytest.mark.parametrize(("state", "status"), [("draft", 404), ("in_review", 404), ("withdrawn", 410)])
def test_only_published_courses_have_a_page(client, state, status):
    course = make_course(state=state)

    answer = client.get(f"/courses/{course.public_id}?lang=en")
    assert answer.status_code == status
    assert ("This course is not offered any more." in answer.text) == (status == 410)
    assert "See all courses" in answer.text


def test_a_runs_calendar_keeps_its_zone(client):
    run = make_run()

    answer = client.get(f"/runs/{run.public_id}.ics")
    assert answer.mimetype == "text/calendar"
    assert answer.text.count("BEGIN:VEVENT") == 2
    assert run.sessions[0].starts_at.strftime("DTSTART:%Y%m%dT%H%M%SZ") in answer.text


@pytest.mark.parametrize("path", ["/", "/courses", "/courses?q=course"])
def test_lists_need_at_most_twelve_queries_however_long(client, queries, path):
    provider = make_organisation()
    with transaction():
        for _ in range(12):
            course = make_course(provider)
            make_run(course)
            search.index_course(course, now=clock.now())
    db.session.expunge_all()
    queries.clear()

    assert client.get(path).status_code == 200
    assert len(queries) <= 12, queries


def test_the_course_page_needs_at_most_twelve_queries(client, queries):
    course = make_course()
    for _ in range(8):
        make_run(course)
    address = f"/courses/{course.public_id}"
    db.session.expunge_all()
    queries.clear()

    assert client.get(address).status_code == 200
    assert len(queries) <= 12, queries


def test_what_visitors_see_again_needs_one_query_a_page(client, queries):
    run = make_run()
    rule = Rule(rule_id=0, kind=RuleKind.FIRST_SEATS, currency="CNY", percent_off=10, first_seats=5)
    pricing.add_rule(run.id, rule, actor_id=None, now=clock.now())
    with transaction():
        search.index_course(run.course, now=clock.now())
    for path in ("/courses", f"/courses/{run.course.public_id}"):
        client.get(path)
        queries.clear()
        assert client.get(path).status_code == 200
        assert len(queries) == 1, queries


def test_a_provider_lists_its_courses_and_an_employer_is_not_one(client):
    course = make_listed_course(title_en="Sound design")
    provider = course.providers[0].organisation

    assert "Sound design" in client.get(f"/providers/{provider.public_id}?lang=en").text
    assert client.get(f"/providers/{make_organisation(kind='employer').public_id}").status_code == 404


def test_the_sitemap_names_published_courses_in_both_languages(client):
    course = make_listed_course()

    page = client.get("/sitemap.xml").text
    for lang in ("zh", "en"):
        assert f"<loc>http://localhost/courses/{course.public_id}?lang={lang}</loc>" in page
    assert page.count(f'hreflang="en" href="http://localhost/courses/{course.public_id}?lang=en"') == 2


def test_a_long_sitemap_is_a_list_of_files(client, monkeypatch):
    monkeypatch.setattr(offer, "LARGEST_SITEMAP", 2)
    courses = [make_listed_course() for _ in range(3)]

    index = client.get("/sitemap.xml").text
    assert re.findall("<loc>(.*?)</loc>", index) == [f"http://localhost/sitemap-{number}.xml" for number in (1, 2)]
    named = re.findall(r"courses/(\w+)\?lang=en</loc>", client.get("/sitemap-2.xml").text)
    assert named == [courses[2].public_id]
    assert client.get("/sitemap-3.xml").status_code == 404


def test_a_course_page_describes_itself_to_search_engines(client):
    run = make_run(price_minor=128050, mode="online")

    page = client.get(f"/courses/{run.course.public_id}?lang=en").text
    data = json.loads(re.search(r'<script type="application/ld\+json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    [instance] = data["hasCourseInstance"]
    assert (data["name"], instance["courseMode"]) == (run.course.title_en, "Online")
    assert (instance["offers"]["price"], instance["offers"]["priceCurrency"]) == ("1280.50", "CNY")
    assert f'<link rel="canonical" href="http://localhost/courses/{run.course.public_id}?lang=en">' in page


def test_each_language_of_a_course_is_a_page_of_its_own_to_search_engines(client):
    course = make_course()
    address = f"http://localhost/courses/{course.public_id}"

    for lang in ("zh", "en"):
        page = client.get(f"/courses/{course.public_id}?lang={lang}").text
        assert f'<link rel="canonical" href="{address}?lang={lang}">' in page
        for code, wanted in (("zh-Hans", "?lang=zh"), ("en", "?lang=en"), ("x-default", "")):
            assert f'<link rel="alternate" hreflang="{code}" href="{address}{wanted}">' in page
    assert f'<link rel="canonical" href="{address}">' in client.get(f"/courses/{course.public_id}").text


def test_structured_data_has_what_search_engines_ask_for(client):
    """As Google's "Course info" demands: https://developers.google.com/search/docs/appearance/structured-data/course-info."""
    course = make_course(outcomes_en=["Scan a wall"])
    make_run(course, mode="in_person", place_en="Hall 2", price_minor=0)
    make_run(course, mode="online", capacity=1, seats_taken=1)

    page = client.get(f"/courses/{course.public_id}?lang=en").text
    data = json.loads(re.search(r'<script type="application/ld\+json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert (data["@context"], data["@type"], data["inLanguage"]) == ("https://schema.org", "Course", "en")
    assert [provider["@type"] for provider in data["provider"]] == ["Organization"]
    assert data["teaches"] == ["Scan a wall"]
    assert {offered["category"] for offered in data["offers"]} == {"Free", "Paid"}
    here, online = data["hasCourseInstance"]
    assert here["location"] == {"@type": "Place", "name": "Hall 2", "address": "Hall 2"}
    assert (online["location"]["@type"], online["courseMode"], online["courseWorkload"]) == (
        "VirtualLocation",
        "Online",
        "PT6H",
    )
    assert online["offers"]["availability"] == "https://schema.org/SoldOut"
    assert all(datetime.fromisoformat(here[name]).tzinfo for name in ("startDate", "endDate"))


def test_an_account_in_another_zone_reads_both_times(client):
    run = make_run(zone="Asia/Shanghai")
    sign_in(client, make_person(time_zone="Europe/London", locale="en"))
    away = client.get(f"/courses/{run.course.public_id}").text
    sign_in(client, make_person(time_zone="Asia/Singapore", locale="en"))
    same = client.get(f"/courses/{run.course.public_id}").text

    assert ("where you are)</span>" in away, "where you are)</span>" in same) == (True, False)


def listed(client, address):
    """The parts of a list that htmx takes."""
    page = client.get(address).text
    return re.search(r'<div id="listing".*</main>', page, re.DOTALL)[0], page


def test_the_list_is_one_region_that_keeps_its_address_and_its_filters(client):
    with transaction():
        course = make_course(title_en="Sound design")
        make_run(course, mode="online")
        search.index_course(course, now=clock.now())
    region, page = listed(client, "/courses?lang=en&q=sound&mode=online")

    assert page.count('hx-select="#listing"') == page.count("vendor/htmx") == 1
    assert '<input type="hidden" form="search-form" name="mode" value="online">' in region
    assert re.search(r'id="facet-mode:online" href="/courses\?q=sound" aria-current="true"', region)
    assert re.search(r'<a class="chip" href="/courses\?q=sound">', region)
    assert 'hx-boost:inherited="false"' in region.split("course-card")[0]
    assert "htmx" not in client.get(f"/courses/{course.public_id}").text


def test_an_empty_list_offers_a_filter_less_and_the_largest_fields(client):
    with transaction():
        field = add(Category(code="sound", name_zh="声音", name_en="Sound", position=1))
        course = make_course(category_id=field.id)
        search.index_course(course, now=clock.now())

    region, _page = listed(client, "/courses?lang=en&level=introductory&mode=online")
    chips = re.findall(r'class="chip" href="([^"]*)">([^<]*) <span class="count">(\d+)', region)
    assert chips == [
        ("/courses?level=introductory", "without “Online”", "1"),
        ("/courses?category=sound", "Sound", "1"),
    ]


@pytest.mark.parametrize("path", ["/courses?q=course&level=introductory&mode=online", "/courses?q=corse", "/?lang=en"])
def test_lists_need_few_queries_whatever_is_asked(client, queries, path):
    with transaction():
        for _ in range(3):
            course = make_course()
            make_run(course)
            search.index_course(course, now=clock.now())
    db.session.expunge_all()
    queries.clear()

    assert client.get(path).status_code == 200
    assert len(queries) <= (10 if "q=" in path else 8), queries
