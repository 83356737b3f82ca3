from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.payments import ledger
from marketplace.payments.ledger import Unbalanced
from marketplace.payments.models import LedgerEntry, LedgerTransaction

YUAN = Money(100, "CNY")


def post(key="k", **entries):
    with transaction():
        return ledger.post(key, "payment", entries, order_id=None, occurred_at=clock.now())


def test_a_fact_is_posted_once(app):
    assert post(stripe_balance=YUAN, unearned_revenue=-YUAN) is not None
    assert post(stripe_balance=YUAN, unearned_revenue=-YUAN) is None
    assert ledger.balances() == {("stripe_balance", "CNY"): 100, ("unearned_revenue", "CNY"): -100}


@pytest.mark.parametrize(
    "entries",
    [
        {"stripe_balance": YUAN},
        {"stripe_balance": YUAN, "unearned_revenue": Money(-100, "USD")},
        {"stripe_balance": YUAN, "pocket": -YUAN},
    ],
)
def test_what_does_not_balance_is_refused(app, entries):
    with pytest.raises(Unbalanced):
        post(**entries)


def test_the_database_refuses_an_unbalanced_transaction_by_itself(app):
    with pytest.raises(DBAPIError, match="does not sum to zero"), transaction():
        row = LedgerTransaction(key="x", kind="payment", occurred_at=clock.now())
        db.session.add(row)
        db.session.flush()
        db.session.add(LedgerEntry(transaction_id=row.id, account="stripe_balance", amount_minor=1, currency="CNY"))
        db.session.flush()
        db.session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))


@pytest.mark.parametrize("change", ["UPDATE ledger_entry SET amount_minor = 1", "DELETE FROM ledger_transaction"])
def test_what_is_posted_cannot_be_changed(app, change):
    post(stripe_balance=YUAN, unearned_revenue=-YUAN)

    with pytest.raises(DBAPIError, match="append-only"), transaction():
        db.session.execute(text(change))
