from __future__ import annotations

import pytest

from marketplace.catalog import search
from marketplace.catalog.search import Wish
from marketplace.enrolment import personal, search_wishes
from marketplace.enrolment.seat_models import SearchWish
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.personal_data import Identity
from tests.factories import make_course, make_member, make_organisation, make_person, make_staff, sign_in

LACQUER = Wish(words="大漆修复")


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


def publish(now, **values):
    """A course that is found from now on."""
    course = make_course(**values)
    with transaction():
        search.index_course(course, now=now)
    return course


def mails():
    jobs.run_pending()
    return [(mail.message, mail.recipient) for mail in db.session.query(OutgoingMail)]


def test_a_search_is_answered_once_when_a_course_about_it_is_published(now):
    person = make_person(locale="zh")
    publish(now, title_zh="陶瓷修复")
    for words in ("大漆修复", "  大漆修复 "):
        search_wishes.make_wish(Wish(words=words), person.id, now=now)
    assert [wish.words for wish in search_wishes.list_wishes(person.id)] == ["大漆修复"]
    assert search_wishes.tell_all(now=now) == 0

    course = publish(now, title_zh="大漆修复入门")
    assert [search_wishes.tell_all(now=now), search_wishes.tell_all(now=now)] == [1, 0]
    assert mails() == [("enrolment/search_answered", person.email)]
    [mail] = db.session.query(OutgoingMail)
    assert "大漆修复入门" in mail.text
    assert f"/courses/{course.public_id}" in mail.text
    assert db.session.query(SearchWish).one().course_id == course.id
    assert search_wishes.list_wishes(person.id) == []


def test_facets_belong_to_the_search(now):
    person = make_person()
    asked = Wish(words="大漆", facets=("level:advanced",))
    search_wishes.make_wish(asked, person.id, now=now)
    publish(now, title_zh="大漆入门")
    assert search_wishes.tell_all(now=now) == 0
    publish(now, title_zh="大漆研究", level="advanced")
    assert search_wishes.tell_all(now=now) == 1


def test_what_is_refused(now):
    person = make_person()
    with pytest.raises(Invalid, match="no_words"):
        search_wishes.make_wish(Wish(words=" !"), person.id, now=now)
    publish(now, title_zh="大漆修复入门")
    with pytest.raises(Refused, match="found"):
        search_wishes.make_wish(LACQUER, person.id, now=now)
    for number in range(search_wishes.MOST_OPEN):
        search_wishes.make_wish(Wish(words=f"nothing{number}"), person.id, now=now)
    with pytest.raises(Refused, match="too_many_wishes"):
        search_wishes.make_wish(Wish(words="one more"), person.id, now=now)


def test_a_removed_wish_is_not_answered_and_others_cannot_remove_it(now):
    person = make_person()
    wish = search_wishes.make_wish(LACQUER, person.id, now=now)
    with pytest.raises(NotFound):
        search_wishes.remove_wish(wish.public_id, make_person().id, now=now)
    search_wishes.remove_wish(wish.public_id, person.id, now=now)
    publish(now, title_zh="大漆修复入门")
    assert search_wishes.tell_all(now=now) == 0
    assert search_wishes.find_wish(LACQUER, person.id) is None


def test_demand_counts_people_and_shows_providers_what_several_want(now):
    for _ in range(2):
        search_wishes.make_wish(LACQUER, make_person().id, now=now)
    search_wishes.make_wish(Wish(words="looms"), make_person().id, now=now)

    shown = [(one.wish.words, one.people) for one in search_wishes.list_sought(is_all=True)]
    assert shown == [("大漆修复", 2), ("looms", 1)]
    assert [one.wish.words for one in search_wishes.list_sought(is_all=False)] == ["大漆修复"]


def test_who_is_forgotten_leaves_no_words(now):
    person = make_person()
    search_wishes.make_wish(LACQUER, person.id, now=now)
    told = {section.key: section.rows for section in personal.tell(person.id)}
    assert [row["sought"] for row in told["search_wishes"]] == ["“大漆修复”"]

    personal.forget(Identity(person.id, person.name, (person.email,)), now=now)
    assert [(wish.words, wish.removed_at) for wish in db.session.query(SearchWish)] == [("", now)]


def test_a_visitor_is_asked_to_sign_in_and_comes_back(client, now):
    page = client.get("/courses?q=大漆修复&level=advanced&lang=en").text
    assert "Tell me when there is a course about it" in page
    answer = client.get("/wish?q=大漆修复&level=advanced")
    assert answer.status_code == 303
    assert "next=/wish?q%3D" in answer.location or "next=%2Fwish" in answer.location

    person = make_person(locale="en")
    sign_in(client, person)
    page = client.get("/wish?q=大漆修复&level=advanced").text
    assert "“大漆修复” · Advanced" in page
    assert client.post("/wish?q=大漆修复&level=advanced").status_code == 303
    assert "“大漆修复” · Advanced" in client.get("/my").text
    assert "You have asked for this already" in client.get("/wish?q=大漆修复&level=advanced").text

    wish = search_wishes.list_wishes(person.id)[0]
    assert client.post(f"/wishes/{wish.public_id}/remove").location == "/my"
    assert search_wishes.list_wishes(person.id) == []


def test_the_demand_of_searches_is_on_the_page(client, now):
    for _ in range(2):
        search_wishes.make_wish(LACQUER, make_person().id, now=now)
    sign_in(client, make_staff("analyst", locale="en"))
    assert "“大漆修复”" in client.get("/staff/demand").text
    sign_in(client, make_member(make_organisation(), "editor", locale="en"))
    assert "“大漆修复”" in client.get("/demand").text
