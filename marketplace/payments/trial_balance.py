"""The trial balance and the journal at any cut-off: of the day things happened, and of the day we knew of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import Organisation
from marketplace.enrolment.models import Order
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.funding.programme_models import FundingProgramme
from marketplace.payments import ledger
from marketplace.payments.chart import BY_CODE, CHART, ChartLine
from marketplace.payments.ledger import ZONE, CutOff
from marketplace.payments.models import LedgerEntry, LedgerTransaction
from marketplace.payments.posting_rules import Account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JOURNAL_BATCH = 1000


@dataclass(frozen=True)
class BalanceLine:
    """One account of the trial balance: its balance stands on one side."""

    account: ChartLine
    balance: Money

    @property
    def debit(self) -> Money | None:
        """The balance, if it is a debit."""
        return self.balance if self.balance.minor > 0 else None

    @property
    def credit(self) -> Money | None:
        """The balance without its sign, if it is a credit."""
        return -self.balance if self.balance.minor < 0 else None


@dataclass(frozen=True)
class TrialBalance:
    """All accounts that were ever used in a currency, and what each side comes to; the two are equal."""

    currency: str
    lines: list[BalanceLine]

    @property
    def debits(self) -> Money:
        """The left side in all."""
        return Money(sum(line.balance.minor for line in self.lines if line.balance.minor > 0), self.currency)

    @property
    def credits(self) -> Money:
        """The right side in all."""
        return Money(-sum(line.balance.minor for line in self.lines if line.balance.minor < 0), self.currency)


@dataclass(frozen=True)
class Wish:
    """What the page was asked for: the period's days, both inclusive, and the day of our knowledge (None: now)."""

    first: date
    day: date
    known: date | None
    now: datetime

    @property
    def cut_off(self) -> CutOff:
        """The moments of the trial balance."""
        return CutOff(occurred=end_of(self.day), recorded=end_of(self.known) if self.known else _after(self.now))

    @property
    def arguments(self) -> dict[str, str]:
        """As an address writes it."""
        known = {"known": self.known.isoformat()} if self.known else {}
        return {"first": self.first.isoformat(), "day": self.day.isoformat(), **known}


def read_wish(arguments: Mapping[str, str], *, now: datetime) -> Wish:
    """Read an address; what cannot be understood is the default: this month until today, as known now."""
    today = now.astimezone(ZONE).date()
    day = _day(arguments.get("day", "")) or today
    first = _day(arguments.get("first", "")) or day.replace(day=1)
    return Wish(first=min(first, day), day=day, known=_day(arguments.get("known", "")), now=now)


def _day(written: str) -> date | None:
    try:
        day = date.fromisoformat(written)
    except ValueError:
        return None
    # The days beside the first and the last one of the calendar cannot be reckoned with.
    return day if date.min.year < day.year < date.max.year else None


def end_of(day: date) -> datetime:
    """The moment after which it is the next day in Shanghai."""
    return datetime.combine(day + timedelta(days=1), time(), ZONE).astimezone(UTC)


def _after(now: datetime) -> datetime:
    """A cut-off is exclusive, and what is recorded at this very moment is known."""
    return now + timedelta(microseconds=1)


def trial_balances(cut_off: CutOff) -> list[TrialBalance]:
    """The trial balance of each currency, yuan first."""
    found = ledger.balances(cut_off)
    currencies = sorted({currency for _, currency in found}, key=lambda one: (one != "CNY", one))
    return [
        TrialBalance(
            currency,
            [
                BalanceLine(line, Money(found[line.code, currency], currency))
                for line in CHART
                if (line.code, currency) in found
            ],
        )
        for currency in currencies
    ]


def list_owed_to_providers(cut_off: CutOff) -> list[tuple[Organisation, Money]]:
    """What each provider has earned and was not paid, largest first; positive is owed to them."""
    return _owned(Account.PROVIDER_PAYABLE, cut_off, sign=-1)


def list_owed_by_sponsors(cut_off: CutOff) -> list[tuple[Organisation, Money]]:
    """What each sponsor owes for used vouchers, largest first."""
    return _owned(Account.VOUCHER_RECEIVABLE, cut_off, sign=1)


def _owned(account: Account, cut_off: CutOff, *, sign: int) -> list[tuple[Organisation, Money]]:
    found = ledger.balances_of("organisation_id", account, cut_off)
    query = select(Organisation).where(Organisation.id.in_([owner for owner, _ in found]))
    names = {one.id: one for one in db.session.scalars(query)}
    return [(names[owner], Money(sign * amount.minor, amount.currency)) for owner, amount in found]


def list_owed_by_programmes(cut_off: CutOff) -> list[tuple[FundingProgramme, Money]]:
    """What each funding programme owes for earned subsidies, largest first; negative is owed back to it."""
    found = ledger.balances_of("programme_id", Account.SUBSIDY_RECEIVABLE, cut_off)
    query = select(FundingProgramme).where(FundingProgramme.id.in_([owner for owner, _ in found]))
    names = {one.id: one for one in db.session.scalars(query)}
    return [(names[owner], amount) for owner, amount in found]


@dataclass(frozen=True)
class JournalLine:
    """One entry of the journal with its transaction."""

    transaction: LedgerTransaction
    entry: LedgerEntry
    account: ChartLine
    order_number: str | None


def journal(first: date, cut_off: CutOff) -> Iterator[JournalLine]:
    """Every entry from the beginning of `first` until the cut-off, in the order of the day it happened."""
    begins = end_of(first - timedelta(days=1))
    query = (
        select(LedgerEntry, Order.public_id)
        .join(LedgerEntry.transaction)
        .outerjoin(Order, Order.id == LedgerTransaction.order_id)
        .options(joinedload(LedgerEntry.transaction))
        .where(
            LedgerTransaction.occurred_at >= begins,
            LedgerTransaction.occurred_at < cut_off.occurred,
            LedgerTransaction.recorded_at < cut_off.recorded,
        )
        .order_by(LedgerTransaction.occurred_at, LedgerTransaction.id, LedgerEntry.id)
        .execution_options(yield_per=JOURNAL_BATCH)
    )
    for entry, number in db.session.execute(query):
        yield JournalLine(entry.transaction, entry, BY_CODE[entry.account], number)
