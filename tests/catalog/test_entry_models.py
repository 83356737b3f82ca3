from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, text

from marketplace.catalog import search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import Course, CourseProvider
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from tests.factories import make_course, make_listed_course

PUBLISHED = select(CourseEntry.course_id, CourseEntry.published_at)


def entries():
    return {entry.course_id: entry.published_at for entry in db.session.execute(PUBLISHED)}


@pytest.mark.parametrize("state", ["draft", "in_review", "withdrawn"])
def test_only_a_published_course_has_an_entry(app, state):
    listed, other = make_listed_course(), make_course(state=state)
    with transaction():
        search.index_course(other, now=clock.now())
    assert entries() == {listed.id: listed.published_at}

    # Whoever changes the state, the entry follows.
    with transaction():
        db.session.execute(text("UPDATE course SET state = :state WHERE id = :id"), {"state": state, "id": listed.id})
    assert entries() == {}


def test_an_entry_follows_the_moment_of_publication_and_goes_with_its_course(app):
    course = make_listed_course()
    moved = clock.now() - timedelta(days=3)
    with transaction():
        course.published_at = moved
    assert entries() == {course.id: moved}

    with transaction():
        db.session.execute(delete(CourseProvider).where(CourseProvider.course_id == course.id))
        db.session.execute(delete(Course).where(Course.id == course.id))
    assert entries() == {}


def test_being_indexed_is_no_change_of_the_course(app):
    course = make_course()
    before = course.updated_at
    with transaction():
        search.index_course(course, now=clock.now())
    db.session.refresh(course)
    assert course.updated_at == before


def test_the_long_words_lie_beside_the_row(app):
    columns = text(
        "SELECT attname, attstorage FROM pg_attribute"
        " WHERE attrelid = 'course_entry'::regclass AND attname IN ('words', 'title_words', 'titles', 'facets')"
    )
    storage = {column.attname: column.attstorage for column in db.session.execute(columns)}
    assert storage == {"words": "e", "title_words": "m", "titles": "m", "facets": "m"}
