"""Waiting for a seat of a sold-out run: joined, offered by mail when someone cancels, taken, and paid."""

import re

import pytest

from marketplace.enrolment import orders
from marketplace.enrolment.seat_models import Wish
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db
from tests.buying import place_order
from tests.factories import make_person, make_run
from tests.journeys.visitor import DESK, PHONE, Visitor, until

BOTH = pytest.mark.parametrize(("language", "size"), [("zh", PHONE), ("en", DESK)])


@BOTH
def test_someone_cancels_and_the_first_who_waits_gets_the_seat(browser, live, language, size):
    with live.app.app_context():
        run = make_run(capacity=1)
        public_id, course_id = run.public_id, run.course.public_id
        order_id = place_order(
            run.id,
            make_person().id,
            shown_price=run.price,
            request_key=ids.public_id(),
            locale="zh",
            now=clock.now(),
        ).id
        person = make_person(locale=language)
    visitor = Visitor(browser, live, language, size).be(person)

    visitor.open(f"/courses/{course_id}")
    visitor.follow("Join the waiting list")
    visitor.press("Join the waiting list")
    visitor.sees("You are number %(position)s on the waiting list", position=1)
    visitor.open("/my")
    visitor.sees("You are number %(position)s", position=1)

    with live.app.app_context():
        orders.cancel_order(order_id, actor_id=None, now=clock.now())
    [mail] = until(lambda: live.inbox.to(person.email), lambda: live.log("worker")[-2000:])
    assert mail["Content-Language"] == {"zh": "zh-CN", "en": "en"}[language]
    address = re.search(r"/runs/\w+/enrol", mail.get_body(("plain",)).get_content())[0]
    assert address == f"/runs/{public_id}/enrol"

    visitor.open("/my")
    visitor.follow("Take the seat")
    visitor.press("Take the seat")
    visitor.page.wait_for_url(f"{live.address}/orders/**")
    assert visitor.page.get_by_role("main").get_by_role("button", name=re.compile(r"1,280\.00")).count() == 1


@BOTH
def test_a_wish_is_made_and_forgotten(browser, live, language, size):
    with live.app.app_context():
        course_id = make_run(state="cancelled").course.public_id
        person = make_person(locale=language)
    visitor = Visitor(browser, live, language, size).be(person)

    visitor.open(f"/courses/{course_id}")
    visitor.follow("Tell me when there is a run")
    visitor.press("Tell me when there is a run")
    visitor.open("/my")
    visitor.sees("Wishes")
    visitor.press("Forget it")
    visitor.sees("The wish is forgotten.")
    with live.app.app_context():
        wish = db.session.query(Wish).filter_by(person_id=person.id).one()
        assert (wish.told_at, wish.removed_at is None) == (None, False)
