from __future__ import annotations

import pytest

from marketplace.catalog import search
from marketplace.catalog.models import Category, CourseSkill, Skill
from marketplace.foundation import clock
from marketplace.foundation.database import add, transaction
from tests.factories import make_course, make_run


@pytest.fixture
def courses(app):
    with transaction():
        heritage = add(Category(code="heritage", name_zh="数字文化遗产", name_en="Digital heritage", position=1))
        made = {
            "hci": make_course(
                title_zh="面向设计师的人机交互设计", title_en="Human-computer interaction for designers"
            ),
            "murals": make_course(
                title_zh="敦煌壁画的数字化采集", title_en="Digitising the Dunhuang murals", category_id=heritage.id
            ),
            "cafe": make_course(title_zh="文创营销", title_en="Marketing the café museum", level="advanced"),
        }
        make_run(made["hci"], mode="online", price_minor=0)
        for course in made.values():
            search.index_course(course, now=clock.now())
        search.index_course(make_course(title_zh="人机交互草稿", state="draft", published_at=None), now=clock.now())
    return made


def names(courses, words, **wish):
    found = search.find_courses(search.Wish(words=words, order="relevance", **wish))
    by_id = {course.id: name for name, course in courses.items()}
    return [by_id[course.id] for course in found.courses], found.is_nearest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("交互", ["hci"]),
        ("人机 设计师", ["hci"]),
        ("壁画", ["murals"]),
        ("敦煌壁画 digitising", ["murals"]),
        ("digitise", ["murals"]),
        ("interac", ["hci"]),
        ("CAFE", ["cafe"]),
        ("ｃａｆé", ["cafe"]),
        ("营", ["cafe"]),
    ],
)
def test_words_in_both_languages_find_their_course(courses, words, expected):
    assert names(courses, words) == (expected, False)


def test_a_slip_of_the_finger_finds_the_nearest_title(courses):
    assert names(courses, "Dunhaung murls") == (["murals"], True)


@pytest.mark.parametrize("words", ["", "'", "a & | !b:* (", "\\", "%_", "<script>", "：（", "x" * 500])
def test_nothing_someone_types_is_an_error(courses, words):
    found, _is_nearest = names(courses, words)
    assert set(found) <= set(courses)


def test_facets_narrow_and_are_counted(courses):
    everything = search.find_courses(search.Wish())
    assert (everything.total, everything.counts["level:introductory"], everything.counts["price:free"]) == (3, 2, 1)

    assert names(courses, "", facets=("category:heritage",)) == (["murals"], False)
    assert names(courses, "", facets=("level:introductory", "mode:online")) == (["hci"], False)
    assert names(courses, "", facets=("level:advanced", "mode:online")) == ([], False)


def test_pages_follow_one_another_without_gaps_or_repeats(app, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 2)
    with transaction():
        made = [make_course() for _ in range(5)]
    seen: list[int] = []
    wish = search.Wish()
    while True:
        found = search.find_courses(wish, with_counts=False)
        seen += [course.id for course in found.courses]
        if found.next_after is None:
            break
        wish = search.Wish(after=found.next_after)

    assert seen == [course.id for course in reversed(made)]


def test_reindexing_touches_only_older_tokens(courses):
    with transaction():
        assert search.reindex(now=clock.now()) == 0
        assert search.reindex(now=clock.now(), everything=True) == 4


def test_facets_follow_runs_that_close(courses):
    later = courses["hci"].runs[0].enrol_closes_at
    assert search.find_courses(search.Wish()).counts["mode:online"] == 1

    assert search.refresh_facets(now=later) == 1
    assert "mode:online" not in search.find_courses(search.Wish()).counts


def test_a_course_is_found_by_its_skills_in_both_languages(app):
    with transaction():
        course = make_course()
        skill = add(Skill(framework="t", uri="t:1", label_zh="点云配准", label_en="Point cloud registration"))
        course.skills.append(CourseSkill(skill_id=skill.id, skill=skill, state="reviewed"))
        search.index_course(course, now=clock.now())

    for words in ("点云", "registration"):
        assert [found.id for found in search.find_courses(search.Wish(words=words)).courses] == [course.id]
