from __future__ import annotations

import re
from datetime import timedelta

import pytest

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import rules
from marketplace.enrolment.models import Order
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from tests.buying import place_order
from tests.factories import make_person, make_run, sign_in


@pytest.fixture
def person(client):
    someone = make_person()
    sign_in(client, someone)
    return someone


def form_of(client, run):
    page = client.get(f"/runs/{run.public_id}/enrol?lang=en").text
    return dict(
        re.findall(r'name="(request_key|shown_minor|shown_due_minor|shown_currency)"[^>]*value="([^"]*)"', page)
    )


def enrol(client, run, form=None):
    return client.post(f"/runs/{run.public_id}/enrol?lang=en", data=form or form_of(client, run))


def test_a_visitor_is_asked_to_sign_in(client):
    run = make_run()

    answer = client.get(f"/runs/{run.public_id}/enrol")
    assert answer.status_code in {302, 303}
    assert "/sign-in" in answer.location


def test_the_way_to_an_order_and_its_page(client, person):
    run = make_run()

    answer = enrol(client, run)
    order = db.session.query(Order).one()
    assert (answer.status_code, answer.location) == (303, f"/orders/{order.public_id}")

    page = client.get(f"{answer.location}?lang=en").text
    assert "We keep your seat until" in page
    assert "CN¥1,280.00" in page
    assert "I need ten more minutes" in page


def test_sending_a_form_twice_makes_one_order(client, person):
    run = make_run()
    form = form_of(client, run)

    assert enrol(client, run, form).location == enrol(client, run, form).location
    assert db.session.query(CourseRun.seats_taken).filter_by(id=run.id).scalar() == 1


def test_the_enrol_page_leads_to_an_open_order(client, person):
    run = make_run()
    address = enrol(client, run).location

    assert client.get(f"/runs/{run.public_id}/enrol").location == address


def test_a_changed_price_is_shown_before_asking_again(client, person):
    run = make_run()
    form = form_of(client, run)
    with transaction():
        run.price_minor = 99900

    answer = enrol(client, run, form)
    assert answer.status_code == 409
    assert "The price is now CN¥999.00." in answer.text
    assert enrol(client, run).status_code == 303


def test_a_share_of_others_that_changed_is_shown_before_asking_again(client, person):
    run = make_run()

    answer = enrol(client, run, form_of(client, run) | {"shown_due_minor": "64000"})
    assert answer.status_code == 409
    assert "The price has changed" in answer.text


@pytest.mark.parametrize("change", [{"request_key": ""}, {"shown_minor": "x"}, {"shown_currency": "XXX"}])
def test_a_broken_form_is_answered_and_takes_nothing(client, person, change):
    run = make_run()

    answer = enrol(client, run, form_of(client, run) | change)
    assert answer.status_code == 422
    assert "out of date" in answer.text
    assert db.session.query(Order).count() == 0


def test_a_sold_out_run_says_so(client, person):
    answer = client.get(f"/runs/{make_run(capacity=0).public_id}/enrol?lang=en")

    assert answer.status_code == 200
    assert "This run is sold out." in answer.text
    assert "Take the seat" not in answer.text


def test_extending_and_cancelling_from_the_page(client, person):
    address = enrol(client, make_run()).location
    order = db.session.query(Order).one()
    before = order.expires_at

    client.post(f"{address}/extend")
    assert order.expires_at == before + rules.EXTEND_BY
    assert "once only" in client.post(f"{address}/extend?lang=en", follow_redirects=True).text

    client.post(f"{address}/cancel")
    assert order.state == "cancelled"
    assert "This order is cancelled" in client.get(f"{address}?lang=en").text


def test_an_order_past_its_time_shows_it_before_the_sweep_has_run(client, person):
    address = enrol(client, make_run()).location
    clock.set_to(clock.now() + rules.HOLD_FOR + timedelta(seconds=1))

    assert "Your seat is no longer held" in client.get(f"{address}?lang=en").text


@pytest.mark.parametrize("act", ["", "/extend", "/cancel"])
def test_another_persons_order_is_not_found(client, person, act):
    run = make_run()
    order = place_order(
        run.id, make_person().id, shown_price=run.price, request_key="k" * 12, locale="zh", now=clock.now()
    )

    address = f"/orders/{order.public_id}{act}"
    answer = client.post(address) if act else client.get(address)
    assert answer.status_code == 404
    assert order.state == "awaiting_payment"


def test_my_learning_shows_courses_sessions_and_orders(client, person):
    run = make_run(price_minor=0)
    enrol(client, run)

    page = client.get("/my?lang=en").text
    assert page.count(run.course.title_en) == 4
    assert client.get("/my/calendar.ics").text.count("BEGIN:VEVENT") == 2


def test_my_learning_of_a_newcomer_leads_to_the_courses(client, person):
    assert "Nothing here yet" in client.get("/my?lang=en").text
