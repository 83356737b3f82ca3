"""A course that starts inside the right to withdraw is sold with an explicit waiver only."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.enrolment.models import Order, OrderEvent
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db
from tests.factories import make_person, make_run, sign_in


@pytest.fixture
def now(app):
    moment = clock.now()
    clock.set_to(moment)
    return moment


def starting_in(days, *, now, **values):
    starts_at = now + timedelta(days=days)
    return make_run(starts_at=starts_at, ends_at=starts_at + timedelta(days=8), enrol_closes_at=starts_at, **values)


def press(client, run, **more):
    price = str(run.price_minor)
    form = {"request_key": ids.public_id(), "shown_minor": price, "shown_due_minor": price, "shown_currency": "CNY"}
    return client.post(f"/runs/{run.public_id}/enrol?lang=en", data=form | more)


def test_a_run_that_starts_soon_asks_for_a_waiver_and_keeps_it(client, now):
    run = starting_in(3, now=now)
    sign_in(client, make_person())
    assert 'name="waives"' in client.get(f"/runs/{run.public_id}/enrol").text

    answer = press(client, run)
    assert (answer.status_code, db.session.query(Order).count()) == (409, 0)
    assert "Tick that you agree" in answer.text
    assert press(client, run, waives="y").status_code == 303
    assert db.session.query(OrderEvent).filter_by(kind="withdrawal_waived").count() == 1


@pytest.mark.parametrize(("days", "price"), [(20, 128000), (3, 0)])
def test_a_later_or_a_free_run_asks_for_none(client, now, days, price):
    run = starting_in(days, now=now, price_minor=price)
    sign_in(client, make_person())

    assert 'name="waives"' not in client.get(f"/runs/{run.public_id}/enrol").text
    assert press(client, run).status_code == 303
    assert db.session.query(OrderEvent).filter_by(kind="withdrawal_waived").count() == 0
