from __future__ import annotations

import pytest

from marketplace.enrolment import waiting, wishes
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import NotFound
from marketplace.foundation.mail import OutgoingMail
from tests.factories import make_course, make_organisation, make_person, make_run


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


def mails():
    jobs.run_pending()
    return [(mail.message, mail.recipient) for mail in db.session.query(OutgoingMail)]


def test_a_wish_is_answered_once_when_a_run_opens(now):
    course, person = make_course(), make_person()
    for _ in range(2):
        wishes.make_wish(course.public_id, person.id, now=now)
    assert [wish.course_id for wish in wishes.list_wishes(person.id)] == [course.id]
    assert wishes.tell_all(now=now) == 0

    run = make_run(course)
    assert wishes.tell_all(now=run.enrol_closes_at) == 0
    assert [wishes.tell_all(now=now), wishes.tell_all(now=now)] == [1, 0]
    assert mails() == [("enrolment/wish_answered", person.email)]
    assert wishes.list_wishes(person.id) == []


def test_a_removed_wish_is_not_answered(now):
    course, person = make_course(), make_person()
    wishes.make_wish(course.public_id, person.id, now=now)
    for _ in range(2):
        wishes.remove_wish(course.public_id, person.id, now=now)
    make_run(course)

    assert wishes.tell_all(now=now) == 0
    assert wishes.find_wish(course.id, person.id) is None


def test_a_draft_is_not_wished_for(now):
    with pytest.raises(NotFound):
        wishes.make_wish(make_course(state="draft").public_id, make_person().id, now=now)


def test_demand_counts_wishes_and_places_in_lists(now):
    mine, theirs = make_organisation(), make_organisation()
    wanted, waited = make_course(mine), make_course(theirs)
    for _ in range(2):
        wishes.make_wish(wanted.public_id, make_person().id, now=now)
    waiting.join(make_run(waited, capacity=0).id, make_person().id, seat_code=None, now=now)

    shown = [(line.course.id, line.wishes, line.waiting) for line in wishes.list_demand(None)]
    assert shown == [(wanted.id, 2, 0), (waited.id, 0, 1)]
    assert [line.course.id for line in wishes.list_demand({theirs.id})] == [waited.id]
