"""The ledger: double entry, append-only, one transaction per fact. The database refuses what does not sum to zero.

Accounts, from the marketplace's side: `stripe_balance` (an asset: what Stripe holds for us), `unearned_revenue` (a
liability: paid for courses), `refunds_payable` (a liability: money that must go back). docs/money.md has the examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from marketplace.foundation.database import add, db
from marketplace.foundation.money import Money
from marketplace.payments.models import LedgerEntry, LedgerTransaction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

STRIPE_BALANCE = "stripe_balance"
UNEARNED_REVENUE = "unearned_revenue"
REFUNDS_PAYABLE = "refunds_payable"
ACCOUNTS = frozenset({STRIPE_BALANCE, UNEARNED_REVENUE, REFUNDS_PAYABLE})


class Unbalanced(ValueError):
    """The entries do not sum to zero, name an unknown account, or mix currencies: a mistake in code."""


def post(
    key: str, kind: str, entries: Mapping[str, Money], *, order_id: int | None, occurred_at: datetime
) -> LedgerTransaction | None:
    """Post debits (positive) and credits (negative) for one fact; None if its key is posted already.

    Call inside the transaction that makes the fact true. Raises Unbalanced.
    """
    if set(entries) - ACCOUNTS:
        raise Unbalanced(f"unknown accounts in {key}: {sorted(set(entries) - ACCOUNTS)}")
    if len({money.currency for money in entries.values()}) != 1 or sum(m.minor for m in entries.values()) != 0:
        raise Unbalanced(f"{key} does not sum to zero in one currency")
    if db.session.scalar(select(LedgerTransaction.id).filter_by(key=key)) is not None:
        return None
    transaction = add(LedgerTransaction(key=key, kind=kind, order_id=order_id, occurred_at=occurred_at))
    for account, money in entries.items():
        add(
            LedgerEntry(
                transaction_id=transaction.id, account=account, amount_minor=money.minor, currency=money.currency
            )
        )
    return transaction


def balances() -> dict[tuple[str, str], int]:
    """Minor units on each account and currency."""
    query = select(LedgerEntry.account, LedgerEntry.currency, func.sum(LedgerEntry.amount_minor))
    rows = db.session.execute(query.group_by(LedgerEntry.account, LedgerEntry.currency))
    return {(account, currency): int(total) for account, currency, total in rows}


def is_balanced() -> bool:
    """Whether all entries of every currency sum to zero; reconciliation asks, the trigger has seen to it."""
    query = select(LedgerEntry.currency).group_by(LedgerEntry.currency).having(func.sum(LedgerEntry.amount_minor) != 0)
    return db.session.execute(query).first() is None
