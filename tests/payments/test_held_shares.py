"""Nobody is owed a share of money that a bank holds: it waits, or is taken back, until the bank has decided."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.payments import ledger, postings
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.models import LedgerTransaction
from marketplace.payments.sandbox import disputes as bank
from tests.factories import make_run
from tests.payments.test_disputes import charge_of, disputed
from tests.payments.test_frozen import page_of
from tests.payments.test_payments import deliver, paid, place

HOUR = timedelta(hours=1)
SHARES = {"tax_payable": -7245, "platform_fee": -12076, "provider_payable": -108679}


@pytest.fixture
def order(now):
    return place(make_run(capacity=1), now=now)


def end_of(order):
    return order.lines[0].run.ends_at


def shares():
    return {name: ledger.balances().get((name, "CNY"), 0) for name in SHARES}


def unearned():
    return ledger.balances().get(("unearned_revenue", "CNY"), 0)


def earn(at):
    clock.set_to(at)
    postings.post_facts()
    return postings.earn_due(now=at)


def decide(app, client, sandbox, made, at, *, is_won):
    clock.set_to(at)
    bank.close(sandbox.store, made["id"], is_won=is_won)
    deliver(app, client, sandbox.events())


def earnings():
    return db.session.query(LedgerTransaction).filter_by(kind="earned").order_by(LedgerTransaction.id).all()


def test_what_a_bank_holds_is_earned_when_it_is_won(app, client, sandbox, order, now):
    made, _found = disputed(app, client, sandbox, order, now)
    ended = end_of(order)
    assert [earn(ended + HOUR), earn(ended + 2 * HOUR)] == [0, 0]
    assert (unearned(), set(shares().values())) == (-128000, {0})

    decide(app, client, sandbox, made, ended + 30 * HOUR, is_won=True)
    assert [earn(ended + 31 * HOUR), earn(ended + 32 * HOUR)] == [1, 0]
    assert (unearned(), shares()) == (0, SHARES)
    # What was not ours to share until then was not earned at the end of the run.
    assert [one.occurred_at for one in earnings()] == [ended + 30 * HOUR]


@pytest.mark.parametrize("is_won", [True, False])
def test_shares_of_what_a_bank_takes_are_taken_back_until_it_has_decided(app, client, sandbox, order, now, is_won):
    attempt, ended = paid(sandbox, order, now), end_of(order)
    assert earn(ended + HOUR) == 1
    clock.set_to(ended + 9 * HOUR)
    made = bank.open_dispute(sandbox.store, charge_of(sandbox, attempt))
    deliver(app, client, sandbox.events())
    # The sandbox has a clock of its own.
    db.session.query(Dispute).one().opened_at = opened_at = ended + 9 * HOUR
    db.session.commit()
    assert [earn(ended + 10 * HOUR), earn(ended + 11 * HOUR)] == [1, 0]
    assert (unearned(), set(shares().values())) == (-128000, {0})
    assert earnings()[-1].occurred_at == opened_at
    assert page_of(app, order)[1]["provider"] == 0

    decide(app, client, sandbox, made, ended + 30 * HOUR, is_won=is_won)
    assert [earn(ended + 31 * HOUR), earn(ended + 32 * HOUR)] == [int(is_won), 0]
    assert (unearned(), shares()) == (0, SHARES if is_won else dict.fromkeys(SHARES, 0))
    assert ledger.is_balanced()


def test_a_part_that_is_held_leaves_the_rest_to_be_shared(app, client, sandbox, order, now):
    _made, found = disputed(app, client, sandbox, order, now)
    found.amount_minor = 28000
    db.session.commit()
    ended = end_of(order)
    assert [earn(ended + HOUR), earn(ended + 2 * HOUR)] == [1, 0]
    assert (unearned(), sum(shares().values())) == (-28000, -100000)


def test_an_inquiry_holds_nothing(app, client, sandbox, order, now):
    _made, found = disputed(app, client, sandbox, order, now)
    found.state = "inquiry"
    db.session.commit()
    assert earn(end_of(order) + HOUR) == 1
    assert shares() == SHARES


def test_the_file_of_an_order_waits_for_the_bank(app, client, sandbox, order, now):
    disputed(app, client, sandbox, order, now)
    ended = end_of(order)
    earn(ended + HOUR)
    bars = page_of(app, order)[1]
    assert (bars["held"], bars["kept"], bars["provider"]) == (-128000, 0, 0)
    assert "shared_before" not in bars
