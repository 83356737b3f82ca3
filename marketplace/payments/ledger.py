"""The ledger: double entry, append-only, one transaction per fact. The database refuses what does not sum to zero.

`chart` names the accounts, `posting_rules` says which fact makes which entries, `postings` picks facts up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from marketplace.enrolment.models import OrderLine
from marketplace.foundation.database import add, db
from marketplace.foundation.money import Money
from marketplace.payments.models import LedgerEntry, LedgerTransaction
from marketplace.payments.posting_rules import Account, Entry, from_amounts, sums

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.sql.elements import ColumnElement

STRIPE_BALANCE: str = Account.STRIPE_BALANCE
UNEARNED_REVENUE: str = Account.UNEARNED_REVENUE
REFUNDS_PAYABLE: str = Account.REFUNDS_PAYABLE
ACCOUNTS: frozenset[str] = frozenset(Account)


class Unbalanced(ValueError):
    """The entries do not sum to zero in each currency, or name an unknown account: a mistake in code."""


@dataclass(frozen=True)
class CutOff:
    """What a balance looks at: facts that occurred before `occurred` and were recorded before `recorded`."""

    occurred: datetime
    recorded: datetime


def post(
    key: str,
    kind: str,
    entries: Mapping[str, Money] | Iterable[Entry],
    *,
    order_id: int | None,
    occurred_at: datetime,
    details: Mapping[str, Any] | None = None,
) -> LedgerTransaction | None:
    """Post debits (positive) and credits (negative) for one fact; None if its key is posted already.

    Call inside the transaction that makes the fact true. The run is that of the order. Raises Unbalanced.
    """
    written = from_amounts(entries) if isinstance(entries, Mapping) else tuple(entries)
    check(key, written)
    if db.session.scalar(select(LedgerTransaction.id).filter_by(key=key)) is not None:
        return None
    run_id = None
    if order_id is not None:
        run_id = db.session.scalar(
            select(OrderLine.run_id).filter_by(order_id=order_id).order_by(OrderLine.id).limit(1)
        )
    transaction = add(
        LedgerTransaction(
            key=key, kind=kind, order_id=order_id, run_id=run_id, occurred_at=occurred_at, details=dict(details or {})
        )
    )
    db.session.add_all(
        LedgerEntry(
            transaction_id=transaction.id,
            account=str(entry.account),
            amount_minor=entry.amount.minor,
            currency=entry.amount.currency,
            organisation_id=entry.organisation_id,
            programme_id=entry.programme_id,
        )
        for entry in written
    )
    db.session.flush()
    return transaction


def check(key: str, entries: Iterable[Entry]) -> None:
    """Raise Unbalanced for what may not be posted; the database would refuse most of it at the commit."""
    written = tuple(entries)
    unknown = {entry.account for entry in written} - ACCOUNTS
    if unknown:
        raise Unbalanced(f"unknown accounts in {key}: {sorted(unknown)}")
    if not written or any(sums(written).values()):
        raise Unbalanced(f"{key} does not sum to zero in each currency")


def _by_then(cut_off: CutOff | None) -> list[ColumnElement[bool]]:
    if cut_off is None:
        return []
    return [LedgerTransaction.occurred_at < cut_off.occurred, LedgerTransaction.recorded_at < cut_off.recorded]


def balances(cut_off: CutOff | None = None) -> dict[tuple[str, str], int]:
    """Minor units on each account and currency, now or at a cut-off."""
    query = select(LedgerEntry.account, LedgerEntry.currency, func.sum(LedgerEntry.amount_minor))
    if cut_off is not None:
        query = query.join(LedgerEntry.transaction).where(*_by_then(cut_off))
    rows = db.session.execute(query.group_by(LedgerEntry.account, LedgerEntry.currency))
    return {(account, currency): int(total) for account, currency, total in rows}


def balances_of(column: Any, account: str, cut_off: CutOff | None = None) -> list[tuple[int, Money]]:
    """The balance of an account for each organisation or programme (`column` of LedgerEntry), zero ones left out."""
    total = func.sum(LedgerEntry.amount_minor)
    query = (
        select(column, LedgerEntry.currency, total)
        .join(LedgerEntry.transaction)
        .where(LedgerEntry.account == account, column.is_not(None), *_by_then(cut_off))
        .group_by(column, LedgerEntry.currency)
        .having(total != 0)
    )
    rows = db.session.execute(query.order_by(func.abs(total).desc()))
    return [(owner, Money(int(minor), currency)) for owner, currency, minor in rows]


def is_balanced() -> bool:
    """Whether all entries of every currency sum to zero; reconciliation asks, the trigger has seen to it."""
    query = select(LedgerEntry.currency).group_by(LedgerEntry.currency).having(func.sum(LedgerEntry.amount_minor) != 0)
    return db.session.execute(query).first() is None
