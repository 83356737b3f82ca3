"""What courses are narrowed and sorted by, counted, and kept true as time passes and seats are sold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from marketplace.catalog import facets, search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import LAST, Category, CourseRun, CourseSkill, Skill, StaleCourse
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from tests.factories import make_course, make_organisation, make_run

NOW = datetime(2026, 11, 2, 4, tzinfo=UTC)
DAY = timedelta(days=1)


def run_of(course, starts, **values):
    """A run of three hours, open until the day before it starts."""
    dates = {"starts_at": starts, "ends_at": starts + timedelta(hours=3), "enrol_closes_at": starts - DAY}
    return make_run(course, sessions=1, **(dates | {"enrol_opens_at": NOW - 9 * DAY} | values))


@pytest.fixture
def made(app):
    """Three courses: games (a joint one with a full run and a later one), murals (subsidised, in dollars), sound."""
    clock.set_to(NOW)
    university, studio = make_organisation(), make_organisation(kind="industry_partner")
    with transaction():
        heritage = add(Category(code="heritage", name_zh="遗产", name_en="Heritage", position=1))
        skill = add(Skill(framework="t", uri="t:1", label_zh="点云", label_en="Point clouds"))
        courses = {
            "games": make_course(studio, title_en="Games", level="advanced", published_at=NOW - 3 * DAY),
            "murals": make_course(university, category_id=heritage.id, published_at=NOW - 2 * DAY),
            "sound": make_course(university, published_at=NOW - DAY),
        }
        run_of(courses["games"], NOW + 20 * DAY, mode="online", capacity=2, seats_taken=2, price_minor=90000)
        run_of(courses["games"], NOW + 40 * DAY, mode="blended", language="both", price_minor=120000)
        run_of(courses["murals"], NOW + 30 * DAY, price_minor=5000, currency="USD", is_subsidised=True)
        for state, skill_id in (("reviewed", skill.id), ("proposed", None)):
            text = None if skill_id else "free"
            courses["murals"].skills.append(CourseSkill(skill_id=skill_id, free_text=text, state=state))
        index(*courses.values())
    return courses


def index(*courses):
    for course in courses:
        db.session.refresh(course)
        search.index_course(course, now=clock.now())


def keys(course):
    return db.session.scalar(select(CourseEntry.facets).where(CourseEntry.course_id == course.id))


def names(made, **wish):
    by_id = {course.id: name for name, course in made.items()}
    return [by_id[card.id] for card in search.find_courses(search.Wish(**wish)).courses]


def test_keys_tell_of_the_course_and_of_runs_one_can_still_enrol_in(made):
    skill_id = made["murals"].skills[0].skill_id
    assert keys(made["games"]) == [
        "language:en",
        "language:zh",
        "level:advanced",
        "mode:blended",
        "mode:online",
        "month:2026-11",
        "month:2026-12",
        "price:paid",
        "provider:industry_partner",
        "seats:left",
    ]
    assert keys(made["murals"]) == [
        "category:heritage",
        "language:zh",
        "level:introductory",
        "mode:in_person",
        "month:2026-12",
        "price:paid",
        "provider:university",
        "seats:left",
        f"skill:{skill_id}",
        "subsidised:yes",
    ]
    assert keys(made["sound"]) == ["level:introductory", "provider:university"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("newest", ["sound", "murals", "games"]),
        # The run of "games" that starts first is full: its card shows the later one.
        ("start", ["murals", "games", "sound"]),
        # Dollars come after yuan, courses without a price last.
        ("price", ["games", "murals", "sound"]),
    ],
)
def test_each_order_continues_where_the_page_ended(made, monkeypatch, order, expected):
    monkeypatch.setattr(search, "PAGE", 1)
    seen, after = [], None
    for _page in expected:
        found = search.find_courses(search.Wish(order=order, after=after), limit=1)
        seen += [name for name, course in made.items() if course.id == found.courses[0].id]
        after = found.next_after

    assert (seen, after) == (expected, None)


def test_one_key_of_a_group_is_enough_and_all_groups_must_be_met(made):
    assert names(made, facets=("mode:in_person", "mode:online")) == ["murals", "games"]
    assert names(made, facets=("mode:in_person", "mode:online", "level:advanced")) == ["games"]
    assert names(made, facets=("month:2026-11", "subsidised:yes")) == []


def test_a_group_is_counted_as_if_nothing_of_it_were_chosen(made):
    counts = search.find_courses(search.Wish(facets=("level:introductory", "mode:in_person"))).counts

    assert {key: number for key, number in counts.items() if key.startswith(("level", "mode", "provider"))} == {
        "level:introductory": 1,
        "mode:in_person": 1,
        "provider:university": 1,
    }
    counts = search.find_courses(search.Wish(facets=("level:introductory",))).counts
    assert (counts["level:advanced"], counts["level:introductory"]) == (1, 2)
    assert (counts.get("mode:online"), counts["mode:in_person"]) == (None, 1)


def test_counts_with_words_are_of_what_the_words_find(made):
    found = search.find_courses(search.Wish(words="games", facets=("mode:in_person",)))

    assert (found.total, found.counts["mode:online"], found.counts.get("mode:in_person")) == (0, 1, None)


def test_counts_are_kept_only_until_a_course_is_indexed(made):
    assert search.find_courses(search.Wish()).total == 3

    with transaction():
        index(make_course(published_at=NOW))
    assert search.find_courses(search.Wish()).total == 4


def sell(run, seats):
    """As enrolment does: one statement on the locked run."""
    with transaction():
        db.session.execute(update(CourseRun).where(CourseRun.id == run.id).values(seats_taken=seats))


def test_a_course_that_sold_out_leaves_the_list_at_once_and_the_facet_within_a_minute(made):
    [run] = made["murals"].runs
    sell(run, run.capacity - 1)
    assert list(db.session.scalars(select(StaleCourse.course_id))) == []

    sell(run, run.capacity)
    assert names(made, facets=("seats:left",)) == ["games"]
    assert list(db.session.scalars(select(StaleCourse.course_id))) == [made["murals"].id]

    assert facets.refresh(now=NOW) == 1
    assert search.find_courses(search.Wish()).counts["seats:left"] == 1
    assert (facets.refresh(now=NOW), list(db.session.scalars(select(StaleCourse)))) == (0, [])

    sell(run, run.capacity - 1)
    assert facets.refresh(now=NOW) == 1
    assert names(made, facets=("seats:left",)) == ["murals", "games"]


def test_facets_follow_runs_that_open_and_close(made):
    with transaction():
        run_of(made["sound"], NOW + 60 * DAY, enrol_opens_at=NOW + DAY, price_minor=0)
        index(made["sound"])
    assert ("price:free" in keys(made["sound"]), "seats:left" in keys(made["sound"])) == (True, False)

    opened = NOW + DAY + timedelta(minutes=1)
    assert facets.refresh(now=opened) == 1
    assert "seats:left" in keys(made["sound"])

    # Both runs of "games" and that of "murals" are closed by then; the job of each night looks back two days.
    closed = NOW + 40 * DAY
    assert facets.refresh(now=closed, back=timedelta(days=30)) == 2
    assert keys(made["games"]) == ["level:advanced", "provider:industry_partner"]
    assert db.session.execute(
        select(CourseEntry.sort_start, CourseEntry.sort_price).where(CourseEntry.course_id == made["games"].id)
    ).one() == (
        LAST,
        LAST,
    )
