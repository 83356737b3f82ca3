from __future__ import annotations

import pytest
from sqlalchemy import update

from marketplace.catalog import facets, search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import Category, Course, CourseSkill, Skill
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from tests.factories import make_course, make_listed_course, make_run


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


def found_by(wish, **options):
    return search.find_courses(wish, now=clock.now(), **options)


def names(courses, words, **wish):
    found = found_by(search.Wish(words=words, order="relevance", **wish))
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
    everything = found_by(search.Wish())
    assert (everything.total, everything.counts["level:introductory"], everything.counts["price:free"]) == (3, 2, 1)

    assert names(courses, "", facets=("category:heritage",)) == (["murals"], False)
    assert names(courses, "", facets=("level:introductory", "mode:online")) == (["hci"], False)
    assert names(courses, "", facets=("level:advanced", "mode:online")) == ([], False)


def test_pages_follow_one_another_without_gaps_or_repeats(app, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 2)
    with transaction():
        made = [make_listed_course() for _ in range(5)]
    seen: list[int] = []
    wish = search.Wish()
    while True:
        found = found_by(wish, with_counts=False)
        seen += [course.id for course in found.courses]
        if found.next_after is None:
            break
        wish = search.Wish(after=found.next_after)

    assert seen == [course.id for course in reversed(made)]


def test_reindexing_touches_only_older_tokens(courses):
    with transaction():
        assert search.reindex(now=clock.now()) == 0
        assert search.reindex(now=clock.now(), everything=True) == 4


def test_a_course_is_found_by_its_skills_in_both_languages(app):
    with transaction():
        course = make_course()
        skill = add(Skill(framework="t", uri="t:1", label_zh="点云配准", label_en="Point cloud registration"))
        course.skills.append(CourseSkill(skill_id=skill.id, skill=skill, state="reviewed"))
        search.index_course(course, now=clock.now())

    for words in ("点云", "registration"):
        assert [found.id for found in found_by(search.Wish(words=words)).courses] == [course.id]


def test_titles_with_the_words_come_before_texts_that_say_them_often(app):
    with transaction():
        often = make_course(
            title_zh="游戏美术", title_en="Art", summary_zh="动画、动画和动画", description_zh="动画" * 20
        )
        title = make_course(
            title_zh="动画的第一课与其他许多很长的说明文字", title_en="Animation", description_zh="别的" * 200
        )
        for course in (often, title):
            search.index_course(course, now=clock.now())

    assert [card.id for card in found_by(search.Wish(words="动画", order="relevance")).courses] == [title.id, often.id]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("murals digitsing", ["murals"]),
        ("museum markting", ["cafe"]),
        ("敦煌避画", ["murals"]),
        ("designrs interaktion", ["hci"]),
    ],
)
def test_a_slip_in_one_of_several_words_is_forgiven_in_any_order(courses, words, expected):
    assert names(courses, words) == (expected, True)


def test_the_last_character_of_a_word_finds_it_as_well(courses):
    assert names(courses, "销") == (["cafe"], False)


def test_older_words_are_indexed_anew_by_the_worker(courses):
    with transaction():
        hci = courses["hci"].id
        db.session.execute(update(Course).where(Course.id == hci).values(search_version=1))
        db.session.execute(update(CourseEntry).where(CourseEntry.course_id == hci).values(words=""))
    assert names(courses, "交互")[0] == []

    with transaction():
        assert search.reindex(now=clock.now(), at_most=200) == 1
    assert names(courses, "交互") == (["hci"], False)


def test_a_long_list_says_that_more_match_than_were_counted(courses, monkeypatch):
    monkeypatch.setattr(facets, "MOST_COUNTED", 2)
    found = found_by(search.Wish(words="第 课 course"))
    assert (found.total, found.is_capped) == (0, False)

    with transaction():
        for _ in range(3):
            search.index_course(make_course(title_en="Sound"), now=clock.now())
    found = found_by(search.Wish(words="sound"))
    assert (len(found.courses), found.total, found.counts["level:introductory"], found.is_capped) == (3, 2, 2, True)
