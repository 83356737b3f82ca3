"""Wishes for what nobody teaches yet: a search that found nothing, kept until a course answers it, and told once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import func, select

from marketplace.accounts import letters
from marketplace.catalog import listing, matches
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import Course
from marketplace.catalog.search import Wish
from marketplace.catalog.words import LONGEST_QUERY, query_of
from marketplace.enrolment.seat_models import SearchWish
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, speaking

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select

log = structlog.get_logger("wishes")

BATCH = 500
MOST_SHOWN = 200
# More than anybody waits for; whoever wants more forgets one.
MOST_OPEN = 20
# Providers see what several people look for: what one typed may say who they are.
SEVERAL = 2
# A course is indexed at a moment inside its transaction and seen after it.
OVERLAP = timedelta(minutes=5)
OPEN: tuple[ColumnElement[bool], ...] = (SearchWish.told_at.is_(None), SearchWish.removed_at.is_(None))


@dataclass(frozen=True)
class Sought:
    """What people looked for in vain, in the words of the list, and how many of them wait for it."""

    about: str
    wish: Wish
    people: int


def make_wish(asked: Wish, person_id: int, *, now: datetime) -> SearchWish:
    """Keep a search that finds nothing for its person; the same one twice is once.

    Raises Invalid for one without words and facets, Refused when a course answers it already or too many are kept.
    """
    words, chosen = tidy(asked.words), sorted(asked.facets)
    if query_of(words) is None and not chosen:
        raise Invalid("no_words", lazy("Say what you look for."))
    with transaction():
        kept = db.session.scalars(_open().filter_by(person_id=person_id, words=words, facets=chosen)).one_or_none()
        if kept is not None:
            return kept
        if matches.find_match(Wish(words=words, facets=tuple(chosen))) is not None:
            raise Refused("found", lazy("There are courses about this already."))
        if len(list_wishes(person_id)) >= MOST_OPEN:
            raise Refused("too_many_wishes", lazy("You keep many wishes already. Forget one first."))
        wish = SearchWish(person_id=person_id, words=words, facets=chosen, wished_at=now, looked_at=_database_now())
        return add(wish)


def tidy(words: str) -> str:
    """What someone typed, without the blanks around and between."""
    return " ".join(words[:LONGEST_QUERY].split())


def find_wish(asked: Wish, person_id: int) -> SearchWish | None:
    """The person's open wish for this search."""
    query = _open().filter_by(person_id=person_id, words=tidy(asked.words), facets=sorted(asked.facets))
    return db.session.scalars(query).one_or_none()


def remove_wish(public_id: str, person_id: int, *, now: datetime) -> None:
    """Forget an open wish of the person; raises NotFound."""
    with transaction():
        wish_id = db.session.scalar(
            select(SearchWish.id).where(SearchWish.public_id == public_id, SearchWish.person_id == person_id)
        )
        if wish_id is None:
            raise NotFound
        wish = locked(SearchWish, wish_id)
        if wish.told_at is None and wish.removed_at is None:
            wish.removed_at = now


def list_wishes(person_id: int) -> list[SearchWish]:
    """What a person waits for, newest first."""
    return list(db.session.scalars(_open().filter_by(person_id=person_id).order_by(SearchWish.id.desc())))


def list_told(person_id: int) -> list[tuple[SearchWish, str, str]]:
    """The same as a page tells them: each with what it is about and the address of its search."""
    found = [(wish, asked_of(wish)) for wish in list_wishes(person_id)]
    return [(wish, about(asked), listing.address(asked)) for wish, asked in found]


def asked_of(wish: SearchWish) -> Wish:
    """The search as the catalogue takes it."""
    return Wish(words=wish.words, facets=tuple(wish.facets), order="relevance" if wish.words else "newest")


def about(asked: Wish) -> str:
    """What is looked for, in the language spoken: the words, then the names of the facets."""
    names = listing.facet_names(asked.facets)
    named = [names[key] for key in asked.facets if key in names]
    quoted = [_("“%(words)s”", words=asked.words)] if asked.words else []
    return " · ".join([*quoted, *named]) or _("Courses")


def tell_all(*, now: datetime) -> int:
    """Write to everyone whose search a course answers now, each in a transaction of its own; returns how many.

    Only courses that were indexed since a wish was looked at last are tried.
    """
    newest = db.session.scalar(select(func.max(CourseEntry.indexed_at)))
    if newest is None:
        return 0
    began = _database_now()
    due = select(SearchWish.id).where(*OPEN, SearchWish.looked_at <= newest + OVERLAP)
    told = 0
    for wish_id in db.session.scalars(due.order_by(SearchWish.looked_at, SearchWish.id).limit(BATCH)).all():
        with transaction():
            told += _look(locked(SearchWish, wish_id), began, now=now)
    return told


def _look(wish: SearchWish, began: datetime, *, now: datetime) -> bool:
    if wish.told_at is not None or wish.removed_at is not None:
        return False
    asked = asked_of(wish)
    course_id = matches.find_match(asked, since=wish.looked_at - OVERLAP)
    wish.looked_at = began
    if course_id is None:
        return False
    wish.told_at, wish.course_id = now, course_id
    with speaking(wish.person.locale):
        sought = about(asked)
    course = db.session.get_one(Course, course_id)
    key, question = f"search_wish:{wish.id}", listing.question(asked)
    letters.write(wish.person, "enrolment/search_answered", key=key, course=course, about=sought, question=question)
    return True


@jobs.periodic(cron="*/10 * * * *", name="enrolment.tell_search_wishes", queue="mail")
def tell() -> None:
    """Every ten minutes: tell people that there is a course about what they looked for."""
    told = tell_all(now=clock.now())
    if told:
        log.info("search wishes answered", wishes=told)


def list_sought(*, is_all: bool) -> list[Sought]:
    """What people wait for, the most wanted first: everything, or what several people look for."""
    people = func.count()
    query = select(SearchWish.words, SearchWish.facets, people).where(*OPEN)
    query = query.group_by(SearchWish.words, SearchWish.facets).order_by(people.desc(), SearchWish.words)
    if not is_all:
        query = query.having(people >= SEVERAL)
    rows = db.session.execute(query.limit(MOST_SHOWN))
    asked = [(Wish(words=words, facets=tuple(chosen)), number) for words, chosen, number in rows]
    return [Sought(about(wish), wish, number) for wish, number in asked]


def _open() -> Select[SearchWish]:
    return select(SearchWish).where(*OPEN)


def _database_now() -> datetime:
    moment: datetime = db.session.scalars(select(func.clock_timestamp())).one()
    return moment
