"""The chart of accounts: every account's number, name, type and meaning; pages, exports and docs/books.md read it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.foundation.i18n import lazy
from marketplace.payments.posting_rules import Account

if TYPE_CHECKING:
    from flask_babel import LazyString


class AccountType(StrEnum):
    """What an account is in the balance sheet; the first and the last grow by debits, the other two by credits."""

    ASSET = "asset"
    LIABILITY = "liability"
    REVENUE = "revenue"
    EXPENSE = "expense"


@dataclass(frozen=True)
class ChartLine:
    """One account. Its number follows the Chinese accounting standards where they have one."""

    code: Account
    number: str
    type: AccountType
    name: LazyString
    meaning: LazyString
    # Which column of an entry tells whose the amount is: organisation, programme or none.
    owner: str | None = None


def _line(code: Account, number: str, kind: AccountType, name: LazyString, meaning: LazyString) -> ChartLine:
    return ChartLine(code, number, kind, name, meaning, _OWNERS.get(code))


_OWNERS = {
    Account.PROVIDER_PAYABLE: "organisation",
    Account.VOUCHER_RECEIVABLE: "organisation",
    Account.SUBSIDY_PROMISED: "programme",
    Account.SUBSIDY_RECEIVABLE: "programme",
}
_ASSET, _LIABILITY = AccountType.ASSET, AccountType.LIABILITY
CHART = (
    _line(Account.BANK, "1002", _ASSET, lazy("Bank"), lazy("Money on our bank account: payouts and bank transfers.")),
    _line(
        Account.STRIPE_BALANCE,
        "1012",
        _ASSET,
        lazy("Held by Stripe for us"),
        lazy("Paid by learners, less refunds, fees, disputes and payouts. Reconciled with Stripe every day."),
    ),
    _line(
        Account.PAYOUTS_IN_TRANSIT,
        "1013",
        _ASSET,
        lazy("Payouts on their way"),
        lazy("Has left Stripe and has not reached the bank."),
    ),
    _line(
        Account.LEARNER_RECEIVABLE,
        "1122",
        _ASSET,
        lazy("Owed by learners"),
        lazy("Subsidies that a learner owes: the conditions were not met, or the funder took back what it had paid."),
    ),
    _line(
        Account.SUBSIDY_PROMISED,
        "1123",
        _ASSET,
        lazy("Promised by funding programmes"),
        lazy("Subsidies of confirmed places whose conditions are still open."),
    ),
    _line(
        Account.SUBSIDY_RECEIVABLE,
        "1124",
        _ASSET,
        lazy("Owed by funding programmes"),
        lazy("Subsidies that are earned and not paid yet."),
    ),
    _line(
        Account.VOUCHER_RECEIVABLE,
        "1125",
        _ASSET,
        lazy("Owed by sponsors"),
        lazy("Vouchers that were used and that their sponsor has not paid yet."),
    ),
    _line(
        Account.DISPUTES_HELD,
        "1221",
        _ASSET,
        lazy("Held back in disputes"),
        lazy("Payments that a cardholder disputes, until the bank decides."),
    ),
    _line(
        Account.PROVIDER_PAYABLE,
        "2202",
        _LIABILITY,
        lazy("Owed to providers"),
        lazy("The providers' shares of runs that are over."),
    ),
    _line(
        Account.UNEARNED_REVENUE,
        "2204",
        _LIABILITY,
        lazy("Paid for courses"),
        lazy("Paid by learners for runs that are not over."),
    ),
    _line(
        Account.UNEARNED_SUBSIDY,
        "2205",
        _LIABILITY,
        lazy("Subsidies of courses to come"),
        lazy("The funders' part of runs that are not over."),
    ),
    _line(
        Account.UNEARNED_VOUCHER,
        "2206",
        _LIABILITY,
        lazy("Vouchers of courses to come"),
        lazy("The vouchers' part of runs that are not over."),
    ),
    _line(
        Account.TAX_PAYABLE, "2221", _LIABILITY, lazy("Tax"), lazy("The tax inside the prices of runs that are over.")
    ),
    _line(
        Account.REFUNDS_PAYABLE,
        "2241",
        _LIABILITY,
        lazy("Owed back to learners"),
        lazy("Money that came for a place that could not be given. Zero when all has gone back."),
    ),
    _line(
        Account.UNMATCHED_MONEY,
        "2242",
        _LIABILITY,
        lazy("Money without a fact"),
        lazy("Moved at Stripe or the bank and belongs to nothing we know, until staff say what it is."),
    ),
    _line(
        Account.PLATFORM_FEE,
        "6001",
        AccountType.REVENUE,
        lazy("Platform fee"),
        lazy("What the marketplace keeps of runs that are over, without tax."),
    ),
    _line(
        Account.CURRENCY_EXCHANGE,
        "6061",
        AccountType.REVENUE,
        lazy("Currency exchange"),
        lazy("Where one currency becomes another: its balances say what was changed into what."),
    ),
    _line(
        Account.OTHER_INCOME,
        "6301",
        AccountType.REVENUE,
        lazy("Other income"),
        lazy("Money that belonged to no order and is the marketplace's own, as staff said."),
    ),
    _line(
        Account.VOUCHER_COST,
        "6601",
        AccountType.EXPENSE,
        lazy("Vouchers the programme bears"),
        lazy("Vouchers without a sponsor."),
    ),
    _line(
        Account.SUBSIDY_COST,
        "6602",
        AccountType.EXPENSE,
        lazy("Subsidies taken back"),
        lazy("What a funder took back after it had paid, and the learner does not owe."),
    ),
    _line(
        Account.PROCESSOR_FEE,
        "6603",
        AccountType.EXPENSE,
        lazy("Payment fees"),
        lazy("What Stripe keeps of payments, disputes and payouts."),
    ),
    _line(
        Account.WRITTEN_OFF,
        "6702",
        AccountType.EXPENSE,
        lazy("Debts written off"),
        lazy("What learners owed for subsidies and will not be asked for any more."),
    ),
    _line(
        Account.OTHER_EXPENSE,
        "6711",
        AccountType.EXPENSE,
        lazy("Other expenses"),
        lazy("Money that left for nothing we know and is the marketplace's to bear, as staff said."),
    ),
)
BY_CODE = {str(line.code): line for line in CHART}


def type_names() -> dict[AccountType, LazyString]:
    """The types in words."""
    return {
        AccountType.ASSET: lazy("Asset"),
        AccountType.LIABILITY: lazy("Liability"),
        AccountType.REVENUE: lazy("Revenue"),
        AccountType.EXPENSE: lazy("Expense"),
    }
