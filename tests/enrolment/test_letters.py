"""Mails about orders and places: one for each thing a person would want to be told, in their language."""

from datetime import timedelta

import pytest

from marketplace.enrolment import learning, orders, places, rules
from marketplace.foundation import clock, ids, jobs
from marketplace.foundation.database import db
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from tests.buying import place_order
from tests.factories import make_person, make_run


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


@pytest.fixture
def person(app):
    return make_person(locale="en", time_zone="Europe/London")


@pytest.fixture
def order(now, person):
    run = make_run()
    return place_order(run.id, person.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)


def mails():
    jobs.run_pending()
    return [mail.message.partition("/")[2] for mail in db.session.query(OutgoingMail).order_by(OutgoingMail.id)]


def test_cancelling_is_told(order, now):
    orders.cancel_order(order.id, actor_id=order.person_id, now=now)
    orders.cancel_order(order.id, actor_id=order.person_id, now=now)

    assert mails() == ["order_cancelled"]
    [mail] = db.session.query(OutgoingMail)
    assert mail.subject == f"Order cancelled: {order.lines[0].title_en}"
    assert f"http://localhost/orders/{order.public_id}" in mail.text
    assert mail.locale == "en", "the reader's language, not the order's"


def test_an_order_that_expires_unpaid_is_told_once(order, now):
    later = now + rules.HOLD_FOR
    assert [orders.expire_orders(now=later), orders.expire_orders(now=later)] == [1, 0]

    assert mails() == ["order_expired"]


def test_a_delayed_payment_is_told_while_it_is_on_its_way_and_when_it_fails(order, now):
    orders.payment_pending(order.id, now=now)
    orders.payment_failed(order.id, now=now + timedelta(days=1))

    assert mails() == ["payment_pending", "payment_failed"]
    until = db.session.query(OutgoingMail).order_by(OutgoingMail.id.desc()).first()
    wanted = learning.get_order(order.public_id, order.person_id).expires_at
    assert f"{wanted:%M}" in until.text.partition("until ")[2]


def test_a_place_that_ends_is_told(order, now):
    orders.confirm_payment(order.id, attempt_public_id="a1", amount=order.total, now=now)
    places.end_of_order(order.id, "refunded", now=now, actor_id=None)

    assert mails() == ["confirmed", "place_ended"]


def test_money_too_late_is_told_by_the_refund_alone(order, now):
    orders.confirm_payment(order.id, attempt_public_id="a1", amount=Money(1, "CNY"), now=now)

    assert order.state == "cancelled"
    assert mails() == []
