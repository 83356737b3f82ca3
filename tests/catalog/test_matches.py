from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.catalog import matches, search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.search import Wish
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from tests.factories import make_course


@pytest.fixture
def course(app):
    """A published course about museums, indexed."""
    made = make_course(title_zh="博物馆数据可视化", title_en="Data for museums", level="advanced")
    with transaction():
        search.index_course(made, now=clock.now())
    db.session.refresh(made)
    return made


def test_a_course_answers_words_and_facets_together(course):
    assert matches.find_match(Wish(words="数据")) == course.id
    assert matches.find_match(Wish(words="museums", facets=("level:advanced",))) == course.id
    assert matches.find_match(Wish(words="museums", facets=("level:introductory",))) is None
    assert matches.find_match(Wish(words="陶瓷")) is None


def test_only_what_was_indexed_since_a_moment_is_looked_at(course):
    indexed_at = db.session.get_one(CourseEntry, course.id).indexed_at
    assert matches.find_match(Wish(words="数据"), since=indexed_at) == course.id
    assert matches.find_match(Wish(words="数据"), since=indexed_at + timedelta(seconds=1)) is None


def test_a_draft_answers_nothing(course):
    with transaction():
        course.state = "draft"
    assert matches.find_match(Wish(words="数据")) is None
    assert matches.spellings(Wish(words="muzeums")) == []


def test_spellings_find_something_whatever_the_facets(course):
    assert matches.spellings(Wish(words="muzeums", facets=("level:introductory",))) == ["museums"]
    assert matches.spellings(Wish(words="数剧可视化")) == ["数据可视化"]
    assert matches.spellings(Wish(facets=("level:introductory",))) == []
