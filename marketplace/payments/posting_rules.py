"""Pure rules of the books: each kind of fact and the debits (positive) and credits (negative) it stands for.

Every rule sums to zero in each currency, whatever its amounts; the accounts are explained in `chart`. A rule takes what
the fact says and nothing else, so that the same fact gives the same entries at any time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from marketplace.foundation.money import Money


class Account(StrEnum):
    """The accounts of the ledger, by the code that entries carry."""

    BANK = "bank"
    STRIPE_BALANCE = "stripe_balance"
    PAYOUTS_IN_TRANSIT = "payouts_in_transit"
    DISPUTES_HELD = "disputes_held"
    LEARNER_RECEIVABLE = "learner_receivable"
    SUBSIDY_PROMISED = "subsidy_promised"
    SUBSIDY_RECEIVABLE = "subsidy_receivable"
    VOUCHER_RECEIVABLE = "voucher_receivable"
    UNEARNED_REVENUE = "unearned_revenue"
    UNEARNED_SUBSIDY = "unearned_subsidy"
    UNEARNED_VOUCHER = "unearned_voucher"
    REFUNDS_PAYABLE = "refunds_payable"
    PROVIDER_PAYABLE = "provider_payable"
    TAX_PAYABLE = "tax_payable"
    UNMATCHED_MONEY = "unmatched_money"
    PLATFORM_FEE = "platform_fee"
    PROCESSOR_FEE = "processor_fee"
    VOUCHER_COST = "voucher_cost"
    SUBSIDY_COST = "subsidy_cost"
    WRITTEN_OFF = "written_off"
    CURRENCY_EXCHANGE = "currency_exchange"
    OTHER_INCOME = "other_income"
    OTHER_EXPENSE = "other_expense"


UNEARNED = (Account.UNEARNED_REVENUE, Account.UNEARNED_SUBSIDY, Account.UNEARNED_VOUCHER)
WHOLE = 10_000  # basis points


@dataclass(frozen=True)
class Entry:
    """An amount on an account, with whose it is where the account needs it: an organisation, a funding programme."""

    account: str
    amount: Money
    organisation_id: int | None = None
    programme_id: int | None = None


Entries = tuple[Entry, ...]


@dataclass(frozen=True)
class Terms:
    """The default agreement in force when an order was placed; both shares in basis points."""

    version: int
    platform_fee: int
    tax: int


def signed(amount: Money, sign: int) -> Money:
    """The amount, or the same the other way for a negative sign."""
    return amount if sign > 0 else -amount


def move(debit: str, credit: str, amount: Money) -> Entries:
    """The simplest posting: one account to another; nothing for a zero amount."""
    return _kept([Entry(debit, amount), Entry(credit, -amount)])


def received(amount: Money, *, into: str, is_kept: bool) -> Entries:
    """Money of a learner: it buys a place, or it must go back."""
    return move(into, Account.UNEARNED_REVENUE if is_kept else Account.REFUNDS_PAYABLE, amount)


def given_back(amount: Money, *, out_of: str, whose: Account = Account.UNEARNED_REVENUE) -> Entries:
    """Money that went back to a learner: of a place, of what never bought one, or of a debt that is open again."""
    return move(whose, out_of, amount)


def debt_paid(amount: Money, surplus: Money, *, into: str, programme_id: int) -> Entries:
    """Money of a learner for a subsidy they owe; what is beyond the debt is owed back to them."""
    entries = [Entry(into, amount + surplus), Entry(Account.LEARNER_RECEIVABLE, -amount, programme_id=programme_id)]
    return _kept([*entries, Entry(Account.REFUNDS_PAYABLE, -surplus)])


def debt_gone(amount: Money, *, programme_id: int) -> Entries:
    """What was paid for a debt that is owed no more is owed back to the learner."""
    owed = Entry(Account.LEARNER_RECEIVABLE, amount, programme_id=programme_id)
    return _kept([owed, Entry(Account.REFUNDS_PAYABLE, -amount)])


def debt_returned(amount: Money, owed_back: Money, *, out_of: str) -> Entries:
    """Money paid for a debt went back: what was owed back of it, and beyond that the debt is open again."""
    paid = min(amount, owed_back)
    entries = [Entry(Account.REFUNDS_PAYABLE, paid), Entry(Account.LEARNER_RECEIVABLE, amount - paid)]
    return _kept([*entries, Entry(out_of, -amount)])


def written_off(amount: Money, *, programme_id: int) -> Entries:
    """A debt is given up and the marketplace bears it; negative when there was none after all."""
    owed = Entry(Account.LEARNER_RECEIVABLE, -amount, programme_id=programme_id)
    return _kept([Entry(Account.WRITTEN_OFF, amount), owed])


@dataclass(frozen=True)
class Step:
    """A step of a subsidy as the funding room recorded it, amounts in `amount`'s currency.

    `owed` and `borne` are what the step adds to what the learner owes and to what else nobody pays of a place that
    stays: the programme bears it where it is lapsed or rejected, we where the funder took it back (revoked, repaid).
    `part` is what the step is about beside the amount: see `_part`.
    """

    amount: Money
    before: str | None
    after: str
    owed: Money
    borne: Money
    programme_id: int
    act: str = ""
    part: Money | None = None


# What a subsidy is to us in each state, as an account for its whole amount; unearned_subsidy is the other side.
_SUBSIDY_STANDS_ON = {
    "applied": Account.SUBSIDY_PROMISED,
    "reserved": Account.SUBSIDY_PROMISED,
    "earned": Account.SUBSIDY_RECEIVABLE,
    "claimed": Account.SUBSIDY_RECEIVABLE,
    "paid": Account.BANK,
}


def subsidy_step(step: Step) -> Entries:
    """What a subsidy is to us after a step, less what it was before; nothing when both are the same."""
    nothing = Money(0, step.amount.currency)
    before = _subsidy_stands(step.before, step.amount, -step.owed, -step.borne)
    after = _subsidy_stands(step.after, step.amount, step.owed, step.borne)
    moved = {
        account: after.get(account, nothing) - before.get(account, nothing) for account in sorted({*before, *after})
    }
    for account, minor in _part(step).items():
        moved[account] = moved.get(account, nothing) + minor
    unearned = Entry(Account.UNEARNED_SUBSIDY, Money(-sum(one.minor for one in moved.values()), step.amount.currency))
    entries = _kept([*from_amounts(moved), unearned])
    return tuple(replace(entry, programme_id=step.programme_id) for entry in entries)


def _part(step: Step) -> dict[str, Money]:
    """What came off a promise or a claim; was paid though it had come off; or was returned to the funder.

    The funder's account goes below nothing by what came off after it had paid: that much is owed back to it.
    """
    part = step.part or Money(0, step.amount.currency)
    if step.act == "reduce":
        promised = step.after in {"applied", "reserved"}
        return {Account.SUBSIDY_PROMISED if promised else Account.SUBSIDY_RECEIVABLE: -part}
    if step.act == "pay":
        return {Account.BANK: part, Account.SUBSIDY_RECEIVABLE: -part}
    return {Account.BANK: -part, Account.SUBSIDY_RECEIVABLE: part}


def _subsidy_stands(state: str | None, amount: Money, owed: Money, borne: Money) -> dict[str, Money]:
    if state in _SUBSIDY_STANDS_ON:
        return {_SUBSIDY_STANDS_ON[state]: amount}
    if state in {"rejected", "lapsed"}:
        return {Account.LEARNER_RECEIVABLE: owed, Account.SUBSIDY_RECEIVABLE: borne}
    # Until it is sent, what the funder paid is at the bank, and we owe it back.
    held: dict[str, Money] = (
        {Account.BANK: amount, Account.SUBSIDY_RECEIVABLE: -amount} if state in {"clawed_back", "revoked"} else {}
    )
    if state in {"revoked", "repaid"}:
        return held | {Account.LEARNER_RECEIVABLE: owed, Account.SUBSIDY_COST: borne}
    return held


def voucher_redeemed(amount: Money, *, sponsor_id: int | None) -> Entries:
    """A voucher covers part of a line: its sponsor owes it, or the programme bears it. Negative: it is given back."""
    account = Account.VOUCHER_COST if sponsor_id is None else Account.VOUCHER_RECEIVABLE
    entries = move(account, Account.UNEARNED_VOUCHER, amount)
    return tuple(replace(entry, organisation_id=sponsor_id) for entry in entries)


def sponsor_paid(amount: Money, *, sponsor_id: int, into: Account = Account.BANK) -> Entries:
    """A sponsor pays what it owes for used vouchers, or ahead; `into` suspense that held it, if it came before."""
    owed = Entry(Account.VOUCHER_RECEIVABLE, -amount, organisation_id=sponsor_id)
    return _kept([Entry(into, amount), owed])


def earned(unearned: Iterable[Entry], *, so_far: Money, terms: Terms, provider_id: int | None) -> Entries:
    """A run is over: what stands as unearned for an order becomes tax, platform fee and the provider's share.

    `unearned` are the order's balances on the accounts of UNEARNED (credits, so negative; a refund after the end leaves
    a debit, which takes the shares back). `so_far` is what was earned of the order before. The shares are those of the
    new whole less those of the old one: in the end they are the same however many steps it took.
    """
    balances = [entry for entry in unearned if entry.amount.minor]
    step = sum((-entry.amount.minor for entry in balances), 0)
    before, after = shares(so_far, terms), shares(Money(so_far.minor + step, so_far.currency), terms)
    owners = {Account.PROVIDER_PAYABLE: provider_id}
    parts = [Entry(name, before[name] - after[name], organisation_id=owners.get(name)) for name in after]
    return _kept([*(replace(entry, amount=-entry.amount) for entry in balances), *parts])


def shares(gross: Money, terms: Terms) -> dict[Account, Money]:
    """Tax is inside the price; the platform's fee is a part of what remains without it."""
    net, tax = gross.allocate([WHOLE, terms.tax])
    fee, share = net.allocate([terms.platform_fee, WHOLE - terms.platform_fee])
    return {Account.TAX_PAYABLE: tax, Account.PLATFORM_FEE: fee, Account.PROVIDER_PAYABLE: share}


def processor_fee(fee: Money) -> Entries:
    """What Stripe keeps of a movement; negative when it gives a fee back."""
    return move(Account.PROCESSOR_FEE, Account.STRIPE_BALANCE, fee)


def payout_left(amount: Money) -> Entries:
    """Stripe sends money to our bank; negative when it comes back."""
    return move(Account.PAYOUTS_IN_TRANSIT, Account.STRIPE_BALANCE, amount)


def payout_arrived(amount: Money) -> Entries:
    """A payout is on our bank account."""
    return move(Account.BANK, Account.PAYOUTS_IN_TRANSIT, amount)


def dispute_opened(amount: Money) -> Entries:
    """Stripe holds back a payment that the cardholder disputes; negative when it is won and comes back."""
    return move(Account.DISPUTES_HELD, Account.STRIPE_BALANCE, amount)


def dispute_lost(amount: Money, *, whose: Account = Account.UNEARNED_REVENUE) -> Entries:
    """The cardholder keeps the money: it is as if it had been refunded."""
    return given_back(amount, out_of=Account.DISPUTES_HELD, whose=whose)


def unmatched(amount: Money, *, at: str = Account.STRIPE_BALANCE) -> Entries:
    """Money at Stripe or the bank that belongs to nothing we know, until staff say what it is; negative: it is gone."""
    return move(at, Account.UNMATCHED_MONEY, amount)


def unmatched_is_ours(amount: Money) -> Entries:
    """What belonged to nothing is an income of the marketplace, or an expense if it left."""
    account = Account.OTHER_INCOME if amount.minor > 0 else Account.OTHER_EXPENSE
    return move(Account.UNMATCHED_MONEY, account, amount)


def exchanged(booked: Money, settled: Money) -> Entries:
    """Stripe keeps our balance in another currency than the one paid: `booked` becomes `settled`."""
    return (
        *move(Account.CURRENCY_EXCHANGE, Account.STRIPE_BALANCE, booked),
        *move(Account.STRIPE_BALANCE, Account.CURRENCY_EXCHANGE, settled),
    )


def sums(entries: Iterable[Entry]) -> dict[str, int]:
    """The minor units of each currency in all; every value is zero in a posting that balances."""
    totals: dict[str, int] = defaultdict(int)
    for entry in entries:
        totals[entry.amount.currency] += entry.amount.minor
    return dict(totals)


def from_amounts(amounts: Mapping[str, Money]) -> Entries:
    """Entries without dimensions, of accounts and their amounts."""
    return tuple(Entry(account, amount) for account, amount in amounts.items())


def _kept(entries: Iterable[Entry]) -> Entries:
    """Without the zero ones, which the database refuses."""
    return tuple(entry for entry in entries if entry.amount.minor)
