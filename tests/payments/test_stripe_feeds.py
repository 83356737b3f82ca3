from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.payments import stripe_feeds, stripe_gateway
from marketplace.payments.sandbox import balance
from marketplace.payments.stripe_gateway import GatewayError
from marketplace.payments.stripe_models import StripeFeed, StripePayout, StripeTransaction


@pytest.fixture
def later(app):
    """Half an hour from now: what the sandbox does now is old enough to be read."""
    moment = clock.now() + timedelta(minutes=30)
    clock.set_to(moment)
    return moment


def move(sandbox, number):
    for index in range(number):
        charge = {"id": f"ch_{index}", "object": "charge", "currency": "cny", "payment_intent": f"pi_{index}"}
        sandbox.store.save(charge | {"created": index})
        balance.book(sandbox.store, "charge", charge | {"created": index}, 1000 + index, fee=30)


def test_all_pages_are_read_once_with_what_each_is_about(sandbox, later, monkeypatch):
    monkeypatch.setattr(stripe_gateway, "LONGEST_PAGE", 2)
    move(sandbox, 5)

    assert stripe_feeds.fetch(now=later) == 5
    rows = db.session.query(StripeTransaction).order_by(StripeTransaction.amount_minor).all()
    assert [(row.amount.minor, row.fee.minor, row.payment_intent_id, row.type) for row in rows] == [
        (1000 + index, 30, f"pi_{index}", "charge") for index in range(5)
    ]
    pages = [path for _, path, _ in sandbox.requests if path.startswith("/v1/balance_transactions")]
    assert len(pages) == 3
    stripe_feeds.fetch(now=later)
    assert db.session.query(StripeTransaction).count() == 5


def test_a_window_that_broke_off_is_finished_from_where_it_was(sandbox, later, monkeypatch):
    monkeypatch.setattr(stripe_gateway, "LONGEST_PAGE", 2)
    move(sandbox, 5)
    asked, ask = [], stripe_gateway.list_balance_transactions

    def breaks(since, until, after):
        asked.append(after)
        if len(asked) == 2:
            raise GatewayError("api_connection_error", is_permanent=False)
        return ask(since, until, after)

    feed = stripe_feeds.FEEDS[1]
    broken = stripe_feeds.Feed(feed.kind, breaks, feed.keep, feed.overlap)
    with pytest.raises(GatewayError):
        stripe_feeds._fetch_feed(broken, now=later)
    row = db.session.get_one(StripeFeed, "balance_transaction")
    assert (row.complete_until, row.after) == (None, asked[1])

    assert stripe_feeds._fetch_feed(broken, now=later + timedelta(hours=1)) == 3
    assert row.complete_until == later - stripe_feeds.QUIET_FOR
    assert db.session.query(StripeTransaction).count() == 5


def test_a_payout_is_known_as_it_stands_now(sandbox, later):
    move(sandbox, 1)
    [payout] = balance.pay_out(sandbox.store, is_early=True)
    stripe_feeds.fetch(now=later)
    sandbox.store.save(payout | {"status": "failed", "failure_code": "account_closed"})
    stripe_feeds.fetch(now=later)

    found = db.session.query(StripePayout).one()
    assert (found.amount.minor, found.status, found.failure_code) == (970, "failed", "account_closed")


def test_what_is_young_is_left_for_the_next_time(sandbox, app):
    move(sandbox, 1)

    assert stripe_feeds.fetch(now=clock.now()) == 0
