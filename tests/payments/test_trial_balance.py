from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from marketplace.foundation import clock
from marketplace.foundation.database import transaction
from marketplace.foundation.money import Money
from marketplace.payments import ledger, trial_balance
from marketplace.payments.ledger import CutOff
from marketplace.payments.posting_rules import Account, move

# Half past midnight on 2 March in Shanghai is still 1 March in UTC.
SECOND = datetime(2026, 3, 1, 16, 30, tzinfo=UTC)


def post(key, minor, *, occurred, recorded, currency="CNY"):
    clock.set_to(recorded)
    with transaction():
        entries = move(Account.BANK, Account.UNEARNED_REVENUE, Money(minor, currency))
        ledger.post(key, "payment", entries, order_id=None, occurred_at=occurred)


@pytest.fixture
def posted(app):
    """One fact of 1 March known at once, one of 2 March known five days later, one in euro."""
    post("a", 100, occurred=SECOND - timedelta(hours=1), recorded=SECOND - timedelta(hours=1))
    post("b", 30, occurred=SECOND, recorded=SECOND + timedelta(days=5))
    post("c", 7, occurred=SECOND, recorded=SECOND, currency="EUR")


def bank(**arguments):
    wish = trial_balance.read_wish(arguments, now=SECOND + timedelta(days=30))
    return {found.currency: found.debits.minor for found in trial_balance.trial_balances(wish.cut_off)}


def test_a_cut_off_is_of_the_day_it_happened_and_of_the_day_it_was_known(posted):
    assert bank(day="2026-02-28") == {}
    assert bank(day="2026-03-01") == {"CNY": 100}
    assert bank(day="2026-03-02") == {"CNY": 130, "EUR": 7}
    assert bank(day="2026-03-02", known="2026-03-06") == {"CNY": 100, "EUR": 7}
    assert bank(day="2026-03-02", known="2026-03-07") == {"CNY": 130, "EUR": 7}
    assert bank() == {"CNY": 130, "EUR": 7}


def test_both_sides_are_equal(posted):
    for found in trial_balance.trial_balances(CutOff(clock.now() + timedelta(days=1), clock.now() + timedelta(days=1))):
        assert found.debits == found.credits
        assert [line.account.code for line in found.lines] == [Account.BANK, Account.UNEARNED_REVENUE]


def test_the_journal_has_every_entry_of_the_period_in_order(posted):
    wish = trial_balance.read_wish({"first": "2026-03-02", "day": "2026-03-31"}, now=SECOND + timedelta(days=40))

    lines = list(trial_balance.journal(wish.first, wish.cut_off))
    assert [(line.transaction.key, line.account.number, line.entry.amount_minor) for line in lines] == [
        ("b", "1002", 30),
        ("b", "2204", -30),
        ("c", "1002", 7),
        ("c", "2204", -7),
    ]


def test_what_cannot_be_read_is_this_month_until_today(app):
    wish = trial_balance.read_wish({"day": "soon", "first": "?"}, now=SECOND)

    assert (wish.first, wish.day, wish.known) == (date(2026, 3, 1), date(2026, 3, 2), None)


def test_days_at_the_ends_of_the_calendar_are_no_days():
    now = datetime(2026, 3, 10, 2, tzinfo=UTC)
    for name, day in (("day", "9999-12-31"), ("first", "0001-01-01"), ("known", "9999-12-31")):
        assert trial_balance.read_wish({name: day}, now=now) == trial_balance.read_wish({}, now=now)
