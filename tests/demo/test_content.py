"""What is written by hand: complete in both languages, consistent, and within one page each."""

from __future__ import annotations

from collections import Counter

import pytest

from marketplace.demo import content_files

COURSES = content_files.courses()


def test_sixty_courses_six_in_each_category():
    assert Counter(course.category for course in COURSES) == {
        category["code"]: 6 for category in content_files.read("categories")["category"]
    }
    assert len({course.key for course in COURSES}) == 60


def test_a_dozen_providers_each_teach_something():
    organisations = content_files.read("organisations")["organisation"]
    providers = {found["key"] for found in organisations if found["kind"] != "employer"}
    assert len(providers) >= 12
    assert {key for course in COURSES for key in course.providers} == providers
    assert any(found["country"] != "CN" for found in organisations)
    assert set(content_files.read("places")["place"]) == providers


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.key)
def test_both_languages_say_the_same_amount(course):
    assert all(course.fields.values())
    assert len(course.fields["outcomes_zh"]) == len(course.fields["outcomes_en"])
    assert len(course.fields["syllabus_zh"]) == len(course.fields["syllabus_en"]) == course.teaching.sessions
    assert "\u4e00" <= course.fields["title_zh"][-1] <= "\u9fff" or course.fields["title_zh"][-1] in "》”课"
    assert not any("\u4e00" <= character <= "\u9fff" for character in course.fields["description_en"])


def test_every_skill_is_named_in_both_languages_and_taught():
    named = content_files.read("skills")["skill"]
    assert {key for course in COURSES for key in course.skills} == set(named)
    assert all(skill["zh"] and skill["en"] for skill in named.values())
