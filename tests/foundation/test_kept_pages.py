"""Pages kept for visitors, seen through the catalogue: as fast as they are, they tell what is true now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import session
from flask.signals import template_rendered
from sqlalchemy import delete, select, update

from marketplace.catalog import facets, pricing, search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import Course, CourseRun
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.foundation import clock, kept_pages
from marketplace.foundation.database import db, transaction
from tests.factories import make_course, make_listed_course, make_organisation, make_person, make_run, sign_in


@pytest.fixture
def written(app):
    """The templates of pages that were written out while a test runs."""
    names: list[str] = []

    def note(_app, template, **_rest):
        names.append(template.name)

    with template_rendered.connected_to(note, app):
        yield names


@pytest.fixture
def course():
    course = make_course(title_en="Game engines", description_en=f"{'Long ' * 200}and at last this.")
    run = make_run(course, capacity=3)
    with transaction():
        search.index_course(course, now=clock.now())
    return course.public_id, course.id, run.id


def write(statement):
    with transaction():
        db.session.execute(statement)


def test_the_same_facts_are_written_out_once_with_a_nonce_for_each_answer(client, written, course):
    address = f"/courses/{course[0]}"
    first, second = client.get(address), client.get(address)

    assert written == ["catalog/course.html"]
    nonces = [re.search('nonce="([^"]+)"', page.text)[1] for page in (first, second)]
    assert nonces[0] != nonces[1]
    assert first.text.replace(nonces[0], nonces[1]) == second.text
    assert f"'nonce-{nonces[1]}'" in second.headers["Content-Security-Policy"]


@pytest.mark.parametrize("address", ["/courses/{}", "/courses", "/"])
def test_a_seat_sold_or_a_new_price_is_seen_at_once(client, course, address):
    public_id, _course_id, run_id = course
    address = f"{address.format(public_id)}?lang=en"
    assert "CN¥1,280.00" in client.get(address).text

    write(update(CourseRun).where(CourseRun.id == run_id).values(price_minor=99900))
    assert "CN¥999.00" in client.get(address).text
    write(update(CourseRun).where(CourseRun.id == run_id).values(seats_taken=3))
    assert "999.00" in client.get(address).text
    assert re.search("Sold out|Join the waiting list", client.get(address).text) or address == "/?lang=en"


@pytest.mark.parametrize("address", ["/courses/{}", "/courses", "/"])
def test_a_price_rule_is_seen_at_once_and_ends_with_its_last_day(client, course, address):
    public_id, _course_id, run_id = course
    address = f"{address.format(public_id)}?lang=en"
    assert "CN¥1,280.00" in client.get(address).text
    today = clock.now().astimezone(ZoneInfo("Asia/Shanghai")).date()
    rule = Rule(rule_id=0, kind=RuleKind.EARLY_BIRD, currency="CNY", percent_off=50, ends_on=today)

    pricing.add_rule(run_id, rule, actor_id=None, now=clock.now())
    assert "CN¥640.00" in client.get(address).text
    midnight = datetime.combine(today + timedelta(days=1), time.min, ZoneInfo("Asia/Shanghai"))
    clock.set_to(midnight - timedelta(seconds=20))
    assert "CN¥640.00" in client.get(address).text
    clock.set_to(midnight)
    page = client.get(address).text
    assert "CN¥640.00" not in page or "It was for seats taken until" in page


def test_a_run_whose_enrolment_begins_and_ends_is_seen_at_once(client, course):
    public_id, _course_id, run_id = course
    opens, closes = clock.now() + timedelta(minutes=1), clock.now() + timedelta(minutes=2)
    write(update(CourseRun).where(CourseRun.id == run_id).values(enrol_opens_at=opens, enrol_closes_at=closes))
    seen = []
    for moment in (opens - timedelta(seconds=1), opens, closes):
        clock.set_to(moment)
        page = client.get(f"/courses/{public_id}?lang=en").text
        seen.append(("/enrol" in page, "Enrolment closed" in page))
    assert seen == [(False, False), (True, False), (False, True)]


def test_the_same_courses_among_fewer_are_counted_anew(client, written):
    provider = make_organisation()
    for number in range(30):
        make_listed_course(provider, published_at=datetime(2026, 1, 1, number % 24, number, tzinfo=UTC))
    assert "30 courses" in client.get("/courses?lang=en").text
    oldest = select(CourseEntry.course_id).order_by(CourseEntry.published_at).limit(1)
    write(delete(CourseEntry).where(CourseEntry.course_id == oldest.scalar_subquery()))
    assert "30 courses" in client.get("/courses?lang=en").text
    assert len(written) == 1

    # Counts are kept a minute.
    facets._counts.values.clear()
    assert "29 courses" in client.get("/courses?lang=en").text
    assert len(written) == 2


def test_a_change_deep_in_a_long_text_is_seen_at_once(client, course):
    public_id, course_id, _run_id = course
    assert "at last this." in client.get(f"/courses/{public_id}?lang=en").text

    write(update(Course).where(Course.id == course_id).values(description_en=f"{'Long ' * 200}and at last that."))
    assert "at last that." in client.get(f"/courses/{public_id}?lang=en").text


def test_who_has_signed_in_has_pages_of_their_own(app, client, written, course):
    client.get("/courses?lang=en")
    theirs = sign_in(app.test_client(), make_person())
    assert "My learning" in theirs.get("/courses?lang=en").text
    assert "My learning" in theirs.get("/courses?lang=en").text
    assert "My learning" not in client.get("/courses?lang=en").text
    assert written == ["catalog/courses.html"] * 3


def test_a_message_is_told_to_one_visitor_alone(app, client, course):
    client.get("/courses?lang=en")
    other = app.test_client()
    with other.session_transaction() as session:
        session["_flashes"] = [("info", "Only for you")]

    assert "Only for you" in other.get("/courses?lang=en").text
    assert "Only for you" not in other.get("/courses?lang=en").text
    assert "Only for you" not in client.get("/courses?lang=en").text


def test_a_token_of_a_session_is_told_to_nobody_else(app):
    form = app.jinja_env.from_string("{{ csrf_token() }}")
    told = []
    for secret in ("one visitor's", "another's"):
        with app.app_context(), app.test_request_context("/courses"):
            session["csrf_token"] = secret
            # As of a visitor who has come with it: showing it changes nothing.
            session.modified = False
            told.append(kept_pages.Page(form, now=clock.now()).show(1, context=dict))

    assert told[0] != told[1]


def test_languages_hosts_and_addresses_share_nothing(client, written, course):
    for language, host in (("zh", "localhost"), ("en", "localhost"), ("en", "other.example")):
        assert f'href="http://{host}/courses/{course[0]}' in client.get(
            f"/courses/{course[0]}", base_url=f"http://{host}", headers={"Accept-Language": language}
        ).text  # fmt: skip
    assert written == ["catalog/course.html"] * 3
