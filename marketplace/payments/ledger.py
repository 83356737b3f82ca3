"""The ledger: double entry, append-only, one transaction per fact. The database refuses what does not sum to zero.

Balances are kept summed up to a mark (`ledger_sums`); what was posted since is added when they are asked for.
`chart` names the accounts, `posting_rules` says which fact makes which entries, `postings` picks facts up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, union_all

from marketplace.enrolment.models import OrderLine
from marketplace.foundation.database import add, db
from marketplace.foundation.money import Money
from marketplace.payments.models import LedgerEntry, LedgerMark, LedgerSum, LedgerTransaction
from marketplace.payments.posting_rules import Account, Entry, from_amounts, sums

if TYPE_CHECKING:
    from datetime import date, datetime

    from sqlalchemy import CompoundSelect, Select
    from sqlalchemy.sql.elements import ColumnElement

# The books are the programme's: a day ends at midnight in Shanghai wherever a run takes place.
ZONE = ZoneInfo("Asia/Shanghai")
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
    rows = _amounts(cut_off).subquery()
    query = select(rows.c.account, rows.c.currency, func.sum(rows.c.amount_minor))
    found = db.session.execute(query.group_by(rows.c.account, rows.c.currency))
    return {(account, currency): int(total) for account, currency, total in found}


def balances_of(owner: str, account: str, cut_off: CutOff | None = None) -> list[tuple[int, Money]]:
    """The balance of an account for each owner, largest first and zero ones left out.

    `owner` is the column that names them: organisation_id or programme_id.
    """
    rows = _amounts(cut_off, account).subquery()
    column, total = rows.c[owner], func.sum(rows.c.amount_minor)
    query = select(column, rows.c.currency, total).where(column.is_not(None)).group_by(column, rows.c.currency)
    found = db.session.execute(query.having(total != 0).order_by(func.abs(total).desc()))
    return [(owner_id, Money(int(minor), currency)) for owner_id, currency, minor in found]


def _amounts(cut_off: CutOff | None, account: str | None = None) -> CompoundSelect[Any] | Select[Any]:
    """What adds up to balances: the sums that are kept, and every entry since, read in one statement.

    A cut-off within a day that is summed already is answered from the entries alone.
    """
    summed = _summed_for(cut_off)
    names = ("account", "currency", "organisation_id", "programme_id", "amount_minor")
    since = select(*(getattr(LedgerEntry, name) for name in names))
    kept = select(*(getattr(LedgerSum, name) for name in names))
    if cut_off is not None:
        since = since.join(LedgerEntry.transaction).where(*_by_then(cut_off))
    if account is not None:
        since, kept = since.where(LedgerEntry.account == account), kept.where(LedgerSum.account == account)
    if summed is None:
        return since
    # The mark as this statement sees it decides. It never goes back, so the one read before says the same of all below
    # it, and lets the planner know how few entries are left.
    since = since.where(LedgerEntry.id > summed.mark, LedgerEntry.id > select(LedgerMark.entry_id).scalar_subquery())
    if summed.occurred is not None:
        kept = kept.where(LedgerSum.occurred_on < summed.occurred)
    if summed.recorded is not None:
        kept = kept.where(LedgerSum.recorded_on < summed.recorded)
    return union_all(kept, since)


@dataclass(frozen=True)
class _Summed:
    """What of the sums a cut-off takes: those of days before these two (None: of all days), up to a mark at least."""

    mark: int
    occurred: date | None = None
    recorded: date | None = None


def _summed_for(cut_off: CutOff | None) -> _Summed | None:
    """None for a cut-off that whole days cannot answer.

    Beyond what is summed the recording cuts nothing off. Sums that were added a moment after this was asked are known
    now as well.
    """
    mark, recorded_until = db.session.execute(select(LedgerMark.entry_id, LedgerMark.recorded_until)).one()
    if cut_off is None:
        return _Summed(mark)
    occurred, recorded = _midnight(cut_off.occurred), _midnight(cut_off.recorded)
    is_in_a_day = recorded is None and recorded_until is not None and recorded_until >= cut_off.recorded
    return None if occurred is None or is_in_a_day else _Summed(mark, occurred, recorded)


def _midnight(moment: datetime) -> date | None:
    """The day that begins at a moment, if one does."""
    there = moment.astimezone(ZONE)
    return there.date() if there.time() == time() else None


def is_balanced() -> bool:
    """Whether all entries of every currency sum to zero; reconciliation asks, the trigger has seen to it."""
    query = select(LedgerEntry.currency).group_by(LedgerEntry.currency).having(func.sum(LedgerEntry.amount_minor) != 0)
    return db.session.execute(query).first() is None
