"""Pure rules of the money waterfall: every yuan of an order, from the list price to what the provider is owed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marketplace.foundation.money import Money
from marketplace.payments.posting_rules import Account


class Step(StrEnum):
    """The steps, in their order."""

    LIST_PRICE = "list_price"
    PRICE_RULES = "price_rules"
    PRICE = "price"
    SUBSIDY = "subsidy"
    VOUCHER = "voucher"
    DUE = "due"
    UNPAID = "unpaid"
    PAID = "paid"
    FUNDED = "funded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    RETURNING = "returning"
    DEBT_PAID = "debt_paid"
    DEBT_LEFT = "debt_left"
    WRITTEN_OFF = "written_off"
    TAKEN_BACK = "taken_back"
    HELD = "held"
    KEPT = "kept"
    TAX = "tax"
    PLATFORM_FEE = "platform_fee"
    SHARED_BEFORE = "shared_before"
    UNEARNED = "unearned"
    PROVIDER = "provider"


TOTALS = frozenset({Step.LIST_PRICE, Step.PRICE, Step.DUE, Step.PAID, Step.KEPT, Step.PROVIDER})


@dataclass(frozen=True)
class Bar:
    """A step with its amount; `start` and `end` are where its bar begins and ends, in minor units of the scale."""

    step: Step
    amount: Money
    start: int
    end: int

    @property
    def is_total(self) -> bool:
        """Whether it stands on the ground rather than on the bar before."""
        return self.step in TOTALS


@dataclass(frozen=True)
class Sold:
    """The frozen line: list price before rules, price, and who was to pay what."""

    listed: Money
    price: Money
    subsidy: Money
    voucher: Money
    due: Money


@dataclass(frozen=True)
class Moved:
    """What the ledger says of the order: balances by account, and sums of what came in and went back."""

    paid: Money
    refunded: Money
    disputed: Money
    balances: dict[str, int]
    # Paid for a subsidy that was not earned, less what of it went back.
    debt_paid: int = 0
    # Of what was paid, what a bank holds while it decides about it.
    held: int = 0


def waterfall(sold: Sold, moved: Moved) -> list[Bar]:
    """The bars, steps of zero left out but for the totals; each total is the sum of what stands before it."""
    currency = sold.price.currency
    funded = Money(_credit(moved, Account.UNEARNED_SUBSIDY, Account.UNEARNED_VOUCHER), currency)
    steps: list[tuple[Step, Money]] = [
        (Step.LIST_PRICE, sold.listed),
        (Step.PRICE_RULES, sold.price - sold.listed),
        (Step.PRICE, sold.price),
        (Step.SUBSIDY, -sold.subsidy),
        (Step.VOUCHER, -sold.voucher),
        (Step.DUE, sold.due),
        (Step.UNPAID, moved.paid - sold.due),
        (Step.PAID, moved.paid),
        (Step.REFUNDED, -moved.refunded),
        (Step.DISPUTED, -moved.disputed),
        *_shares(moved, funded, currency),
    ]
    return _stacked(steps)


def _credit(moved: Moved, *accounts: Account) -> int:
    return -sum(moved.balances.get(account, 0) for account in accounts)


def _shares(moved: Moved, funded: Money, currency: str) -> list[tuple[Step, Money]]:
    """How what is kept is shared; what is not earned yet has no owner but the learner's place."""
    names = {Step.TAX: Account.TAX_PAYABLE, Step.PLATFORM_FEE: Account.PLATFORM_FEE}
    tax, fee = (Money(_credit(moved, account), currency) for account in names.values())
    provider = Money(_credit(moved, Account.PROVIDER_PAYABLE), currency)
    unearned = Money(_credit(moved, Account.UNEARNED_REVENUE), currency)
    waiting, held = unearned + funded, Money(moved.held, currency)
    # What was shared before the bank took it cannot wait any more: it stands as shared, though it is not here.
    shared = Money(max(0, held.minor - max(0, unearned.minor)), currency)
    earned = tax + fee + provider
    kept = earned + waiting
    returning = Money(_credit(moved, Account.REFUNDS_PAYABLE), currency)
    others = kept - (moved.paid - moved.refunded - moved.disputed - returning)
    debt = {
        Step.DEBT_PAID: Money(moved.debt_paid, currency),
        Step.DEBT_LEFT: Money(moved.balances.get(Account.LEARNER_RECEIVABLE, 0), currency),
        Step.WRITTEN_OFF: Money(moved.balances.get(Account.WRITTEN_OFF, 0), currency),
        Step.TAKEN_BACK: Money(moved.balances.get(Account.SUBSIDY_COST, 0), currency),
    }
    return [
        (Step.RETURNING, -returning),
        *debt.items(),
        (Step.FUNDED, others - sum(debt.values(), Money(0, currency))),
        (Step.HELD, -held),
        (Step.KEPT, kept - held),
        (Step.SHARED_BEFORE, shared),
        (Step.UNEARNED, -(waiting - (held - shared))),
        (Step.TAX, -tax),
        (Step.PLATFORM_FEE, -fee),
        (Step.PROVIDER, provider),
    ]


def _stacked(steps: list[tuple[Step, Money]]) -> list[Bar]:
    bars, level = [], 0
    for step, amount in steps:
        if step in TOTALS:
            level = amount.minor
            bars.append(Bar(step, amount, 0, level))
        elif amount.minor:
            bars.append(Bar(step, amount, level, level + amount.minor))
            level += amount.minor
    return bars


SCALE = 1000


@dataclass(frozen=True)
class Drawn:
    """A bar with where it lies on a line of SCALE units, wide enough to be seen."""

    bar: Bar
    left: int
    width: int


def drawn(bars: list[Bar]) -> list[Drawn]:
    """Lay the bars out: the lowest level of all on the left, the highest on the right."""
    levels = [0, *(level for bar in bars for level in (bar.start, bar.end))]
    low, reach = min(levels), max(levels) - min(levels) or 1

    def at(level: int) -> int:
        return (level - low) * SCALE // reach

    return [
        Drawn(bar, min(at(bar.start), at(bar.end)), max(abs(at(bar.end) - at(bar.start)), 4 if bar.amount.minor else 0))
        for bar in bars
    ]
