from __future__ import annotations

import json
import re

import pytest
from sqlalchemy import event

from marketplace.catalog import search
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from tests.factories import make_course, make_organisation, make_run


@pytest.fixture
def queries(app):
    """The statements sent while a test runs, savepoints aside."""
    sent: list[str] = []

    def note(_connection, _cursor, statement, *_rest):
        if not statement.startswith(("SAVEPOINT", "RELEASE")):
            sent.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield sent
    event.remove(db.engine, "before_cursor_execute", note)


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


@pytest.mark.parametrize("state", ["draft", "withdrawn"])
def test_only_published_courses_have_a_page(client, state):
    course = make_course(state=state)

    assert client.get(f"/courses/{course.public_id}").status_code == 404


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


def test_a_provider_lists_its_courses_and_an_employer_is_not_one(client):
    course = make_course(title_en="Sound design")
    provider = course.providers[0].organisation

    assert "Sound design" in client.get(f"/providers/{provider.public_id}?lang=en").text
    assert client.get(f"/providers/{make_organisation(kind='employer').public_id}").status_code == 404


def test_the_sitemap_names_published_courses_in_both_languages(client):
    course = make_course()

    page = client.get("/sitemap.xml").text
    assert f"/courses/{course.public_id}</loc>" in page
    assert f"/courses/{course.public_id}?lang=en" in page


def test_a_course_page_describes_itself_to_search_engines(client):
    run = make_run(price_minor=128050, mode="online")

    page = client.get(f"/courses/{run.course.public_id}?lang=en").text
    data = json.loads(re.search(r'<script type="application/ld\+json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    [instance] = data["hasCourseInstance"]
    assert (data["name"], instance["courseMode"]) == (run.course.title_en, "Online")
    assert (instance["offers"]["price"], instance["offers"]["priceCurrency"]) == ("1280.50", "CNY")
    assert f'<link rel="canonical" href="http://localhost/courses/{run.course.public_id}?lang=en">' in page
