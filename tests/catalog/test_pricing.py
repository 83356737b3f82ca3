"""Rules as rows: versions, days in the run's zone, and prices of a list in one query."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from marketplace.catalog import pricing
from marketplace.catalog.price_words import explain, reason
from marketplace.catalog.pricing_rules import Outcome, PriceFacts, Rule, RuleKind, decide
from marketplace.foundation import clock
from marketplace.foundation.database import db, savepoint
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import speaking
from marketplace.foundation.money import Money
from tests.factories import make_organisation, make_run, make_staff

EARLY = Rule(rule_id=0, kind=RuleKind.EARLY_BIRD, currency="CNY", percent_off=20, ends_on=date(2026, 3, 29))
BEFORE = datetime(2026, 3, 1, tzinfo=UTC)


def price_of(run, *, now, colleagues=None):
    """What a seat costs by the rows as they are."""
    today = now.astimezone(run.tzinfo).date()
    known = {"is_known": colleagues is not None, "colleagues": colleagues or {}}
    return decide(pricing.rules_of(run.id), PriceFacts(run.price, today, run.seats_taken, **known))


@pytest.fixture
def actor(app):
    return make_staff("finance_officer")


@pytest.mark.parametrize(
    ("zone", "moment", "amount"),
    [
        ("Asia/Shanghai", datetime(2026, 3, 29, 15, 59, 59, 999999, tzinfo=UTC), 102400),
        ("Asia/Shanghai", datetime(2026, 3, 29, 16, 0, tzinfo=UTC), 128000),
        # On 29 March 2026 London's clocks go forward: its day is 23 hours long and ends at 23:00 UTC.
        ("Europe/London", datetime(2026, 3, 29, 22, 59, 59, tzinfo=UTC), 102400),
        ("Europe/London", datetime(2026, 3, 29, 23, 0, tzinfo=UTC), 128000),
        ("America/New_York", datetime(2026, 3, 30, 3, 59, 59, tzinfo=UTC), 102400),
        ("America/New_York", datetime(2026, 3, 30, 4, 0, tzinfo=UTC), 128000),
    ],
)
def test_an_early_price_counts_to_the_end_of_its_last_day_where_the_run_is(actor, zone, moment, amount):
    run = make_run(zone=zone)
    pricing.add_rule(run.id, EARLY, actor_id=actor.id, now=BEFORE)

    assert price_of(run, now=moment).amount == Money(amount, "CNY")


def test_the_month_ends_with_its_last_second(actor):
    run = make_run()
    pricing.add_rule(run.id, replace(EARLY, ends_on=date(2028, 2, 29)), actor_id=actor.id, now=BEFORE)

    at = [datetime(2028, 2, 29, 15, 59, 59, tzinfo=UTC), datetime(2028, 2, 29, 16, 0, tzinfo=UTC)]
    assert [price_of(run, now=moment).amount.minor for moment in at] == [102400, 128000]


def test_a_changed_rule_is_a_new_version_in_the_same_place(actor):
    run, now = make_run(), clock.now()
    first = pricing.add_rule(run.id, replace(EARLY, ends_on=date(2999, 1, 1)), actor_id=actor.id, now=now)
    second = pricing.add_rule(run.id, replace(EARLY, ends_on=date(2999, 1, 2)), actor_id=actor.id, now=now)
    changed = pricing.change_rule(
        first.id, replace(EARLY, ends_on=date(2999, 1, 1), percent_off=30), actor_id=actor.id, now=now
    )

    assert [rule.id for rule in pricing.list_in_force([run.id])] == [changed.id, second.id]
    assert (changed.replaces_id, changed.position, first.percent_off, first.ended_at) == (first.id, 1, 20, now)
    assert price_of(run, now=now).recorded()["rule_id"] == changed.id
    with pytest.raises(Refused, match="price_rule_ended"), savepoint():
        pricing.change_rule(first.id, EARLY, actor_id=actor.id, now=now)
    pricing.end_rule(changed.id, actor_id=actor.id, now=now)
    assert [rule.id for rule in pricing.list_ended(run.id)] == [changed.id, first.id]
    assert run.has_price_rules is True
    pricing.end_rule(second.id, actor_id=actor.id, now=now)
    assert run.has_price_rules is False


def test_a_price_in_another_currency_than_the_runs_does_not_apply(actor):
    run = make_run()
    pricing.add_rule(run.id, replace(EARLY, percent_off=None, price=5000), actor_id=actor.id, now=BEFORE)
    run.currency = "USD"

    assert price_of(run, now=BEFORE).tried[0].outcome is Outcome.OTHER_CURRENCY


def test_a_rule_above_the_list_price_is_refused(actor):
    run = make_run(price_minor=5000)

    with pytest.raises(Invalid, match="price_rule_not_valid"), savepoint():
        pricing.add_rule(run.id, replace(EARLY, percent_off=None, price=5000), actor_id=actor.id, now=BEFORE)


def test_a_rule_of_another_run_is_not_found(actor):
    rule = pricing.add_rule(make_run().id, EARLY, actor_id=actor.id, now=BEFORE)

    with pytest.raises(NotFound):
        pricing.get_rule(make_run().id, rule.public_id)


def test_a_run_has_twenty_rules_at_most(actor):
    run = make_run()
    for _ in range(20):
        pricing.add_rule(run.id, EARLY, actor_id=actor.id, now=BEFORE)

    with pytest.raises(Refused, match="too_many_price_rules"), savepoint():
        pricing.add_rule(run.id, EARLY, actor_id=actor.id, now=BEFORE)


@pytest.mark.parametrize(
    "change", ["UPDATE price_rule SET percent_off = 90", "DELETE FROM price_rule", "UPDATE price_rule SET position = 9"]
)
def test_the_database_keeps_a_rule_as_it_was_sold(actor, change):
    pricing.add_rule(make_run().id, EARLY, actor_id=actor.id, now=BEFORE)

    with pytest.raises(DBAPIError, match="append-only"), db.session.begin_nested():
        db.session.execute(text(change))


def test_strangers_see_what_anyone_pays(actor):
    runs = [make_run(), make_run(), make_run(price_minor=0)]
    pricing.add_rule(runs[0].id, EARLY, actor_id=actor.id, now=BEFORE)
    members = Rule(rule_id=0, kind=RuleKind.MEMBERS, currency="CNY", price=100, organisation_id=make_organisation().id)
    pricing.add_rule(runs[1].id, members, actor_id=actor.id, now=BEFORE)

    prices = pricing.public_prices(runs, now=BEFORE)
    assert {run_id: price.amount.minor for run_id, price in prices.items()} == {runs[0].id: 102400, runs[1].id: 128000}
    assert prices[runs[1].id].tried[0].outcome is Outcome.SIGN_IN


def test_a_price_is_explained_in_both_languages(actor):
    run, museum = make_run(), make_organisation(name_zh="江畔博物馆", name_en="Riverside Museum")
    pricing.add_rule(run.id, EARLY, actor_id=actor.id, now=BEFORE)
    members = Rule(rule_id=0, kind=RuleKind.MEMBERS, currency="CNY", percent_off=50, organisation_id=museum.id)
    pricing.add_rule(run.id, members, actor_id=actor.id, now=BEFORE)
    price = price_of(run, now=BEFORE, colleagues={museum.id: 0})

    with speaking("en"):
        assert [(line.title, line.sentence) for line in explain(price)] == [
            ("Early bird, until Mar 29, 2026", "It would apply, but another price is lower."),
            ("For people of Riverside Museum", "This is the price that applies."),
        ]
    with speaking("zh"):
        assert reason(price) == "江畔博物馆成员价"
        assert [line.title for line in explain(price)] == ["早鸟价，截至2026年3月29日", "江畔博物馆成员价"]
