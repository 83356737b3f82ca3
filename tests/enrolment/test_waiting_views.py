from __future__ import annotations

import re

import pytest

from marketplace.enrolment import orders, waiting, wishes
from marketplace.enrolment.seat_models import WaitingEntry, Wish
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from tests.buying import place_order
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff, sign_in


@pytest.fixture
def person(client):
    someone = make_person()
    sign_in(client, someone)
    return someone


@pytest.fixture
def full(app):
    """A run of one seat, sold; and its order."""
    run = make_run(capacity=1)
    now = clock.now()
    order = place_order(
        run.id, make_person().id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now
    )
    return run, order


def page_of(client, run):
    return client.get(f"/runs/{run.public_id}/enrol?lang=en").text


def test_joining_being_offered_and_declining(client, person, full):
    run, order = full
    assert "1 held, may come back in 15 min" in page_of(client, run)

    answer = client.post(f"/runs/{run.public_id}/wait?lang=en")
    assert (answer.status_code, answer.location) == (303, f"/runs/{run.public_id}/enrol")
    assert "You are number 1 on the waiting list" in page_of(client, run)
    assert "You are number 1" in client.get("/my?lang=en").text

    orders.cancel_order(order.id, actor_id=None, now=clock.now())
    page = page_of(client, run)
    assert "A seat is kept for you until" in page
    assert "Take the seat" in page
    assert "Take the seat" in client.get("/my?lang=en").text

    entry = db.session.query(WaitingEntry).one()
    assert client.post(f"/waiting/{entry.public_id}/leave").location == "/my"
    assert entry.state == "declined"


def test_an_offer_is_taken_on_the_enrol_page(client, person, full):
    run, order = full
    waiting.join(run.id, person.id, seat_code=None, now=clock.now())
    orders.cancel_order(order.id, actor_id=None, now=clock.now())

    form = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]*)"', page_of(client, run)))
    answer = client.post(f"/runs/{run.public_id}/enrol", data=form)
    assert (answer.status_code, answer.location[:8]) == (303, "/orders/")


def test_joining_a_run_with_free_seats_says_so(client, person):
    run = make_run()

    answer = client.post(f"/runs/{run.public_id}/wait?lang=en", follow_redirects=True)
    assert "A seat is free: you can take it now." in answer.text


def test_another_persons_place_is_not_found(client, person, full):
    entry = waiting.join(full[0].id, make_person().id, seat_code=None, now=clock.now())

    assert client.post(f"/waiting/{entry.public_id}/leave").status_code == 404
    assert entry.state == "waiting"


def test_a_wish_is_made_seen_and_forgotten(client, person):
    course = make_course()
    address = f"/courses/{course.public_id}/wish"
    assert address in client.get(f"/courses/{course.public_id}").text

    assert client.post(address).location == f"/courses/{course.public_id}"
    assert "You have asked for this already" in client.get(f"{address}?lang=en").text
    assert "Wishes" in client.get("/my?lang=en").text

    client.post(f"{address}/remove")
    assert [wish.removed_at is None for wish in db.session.query(Wish)] == [False]


def test_a_course_that_can_be_booked_asks_for_no_wish(client):
    course = make_run().course

    assert "/wish" not in client.get(f"/courses/{course.public_id}").text


def test_a_sold_out_run_tells_on_its_course_page_what_may_come_back(client, full):
    page = client.get(f"/courses/{full[0].course.public_id}?lang=en").text

    assert "1 held, may come back in 15 min" in page
    assert "Join the waiting list" in page


def test_demand_is_seen_by_staff_and_by_the_provider_for_its_own(client):
    mine, theirs = make_organisation(), make_organisation()
    for provider in (mine, theirs):
        wishes.make_wish(make_course(provider).public_id, make_person().id, now=clock.now())

    sign_in(client, make_member(mine, "editor"))
    assert client.get("/demand").text.count('scope="row"') == 1
    sign_in(client, make_staff("analyst"))
    assert client.get("/staff/demand").text.count('scope="row"') == 2
    with transaction():
        db.session.query(Wish).delete()
    assert "Nobody waits" in client.get("/staff/demand?lang=en").text
