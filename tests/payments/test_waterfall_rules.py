from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.money import Money
from marketplace.payments.posting_rules import Account
from marketplace.payments.waterfall_rules import Moved, Sold, Step, waterfall


def yuan(minor):
    return Money(minor, "CNY")


def drawn(sold, moved):
    return [(bar.step.value, bar.amount.minor) for bar in waterfall(sold, moved)]


def test_what_a_funder_took_back_is_borne_by_who_must():
    sold = Sold(yuan(1000), yuan(1000), yuan(400), yuan(0), yuan(600))
    balances = {
        Account.UNEARNED_REVENUE: -600,
        Account.UNEARNED_SUBSIDY: -400,
        Account.LEARNER_RECEIVABLE: 300,
        Account.SUBSIDY_COST: 100,
    }

    assert drawn(sold, Moved(yuan(600), yuan(0), yuan(0), balances))[-6:] == [
        ("paid", 600),
        ("debt_left", 300),
        ("taken_back", 100),
        ("kept", 1000),
        ("unearned", -1000),
        ("provider", 0),
    ]


def test_a_subsidised_order_of_a_run_that_is_over():
    sold = Sold(yuan(1200), yuan(1000), yuan(400), yuan(100), yuan(500))
    balances = {Account.TAX_PAYABLE: -57, Account.PLATFORM_FEE: -94, Account.PROVIDER_PAYABLE: -849}

    assert drawn(sold, Moved(yuan(500), yuan(0), yuan(0), balances)) == [
        ("list_price", 1200),
        ("price_rules", -200),
        ("price", 1000),
        ("subsidy", -400),
        ("voucher", -100),
        ("due", 500),
        ("paid", 500),
        ("funded", 500),
        ("kept", 1000),
        ("tax", -57),
        ("platform_fee", -94),
        ("provider", 849),
    ]


def test_an_order_nobody_paid():
    sold = Sold(yuan(1000), yuan(1000), yuan(0), yuan(0), yuan(1000))

    assert drawn(sold, Moved(yuan(0), yuan(0), yuan(0), {})) == [
        ("list_price", 1000),
        ("price", 1000),
        ("due", 1000),
        ("unpaid", -1000),
        ("paid", 0),
        ("kept", 0),
        ("provider", 0),
    ]


def test_a_second_payment_on_its_way_back():
    sold = Sold(yuan(1000), yuan(1000), yuan(0), yuan(0), yuan(1000))
    balances = {Account.UNEARNED_REVENUE: -1000, Account.REFUNDS_PAYABLE: -1000}

    assert drawn(sold, Moved(yuan(2000), yuan(0), yuan(0), balances))[3:] == [
        ("unpaid", 1000),
        ("paid", 2000),
        ("returning", -1000),
        ("kept", 1000),
        ("unearned", -1000),
        ("provider", 0),
    ]


def test_what_a_bank_holds_is_not_kept_and_what_was_shared_before_is_told():
    sold = Sold(yuan(1000), yuan(1000), yuan(0), yuan(0), yuan(1000))

    assert drawn(sold, Moved(yuan(1000), yuan(0), yuan(0), {Account.UNEARNED_REVENUE: -1000}, held=600))[3:] == [
        ("paid", 1000),
        ("held", -600),
        ("kept", 400),
        ("unearned", -400),
        ("provider", 0),
    ]
    shared = {Account.TAX_PAYABLE: -57, Account.PLATFORM_FEE: -94, Account.PROVIDER_PAYABLE: -849}
    assert drawn(sold, Moved(yuan(1000), yuan(0), yuan(0), shared, held=1000))[3:] == [
        ("paid", 1000),
        ("held", -1000),
        ("kept", 0),
        ("shared_before", 1000),
        ("tax", -57),
        ("platform_fee", -94),
        ("provider", 849),
    ]


MINOR = st.integers(0, 10**7)


@given(
    rules=st.integers(-1000, 1000),
    parts=st.tuples(MINOR, MINOR, MINOR),
    moved=st.lists(MINOR, min_size=9, max_size=9),
    held=MINOR,
)
def test_each_total_is_what_stands_before_it(rules, parts, moved, held):
    price = sum(parts)
    sold = Sold(yuan(price - rules), yuan(price), *map(yuan, parts))
    balances = dict(
        zip(
            (
                Account.UNEARNED_REVENUE,
                Account.UNEARNED_SUBSIDY,
                Account.UNEARNED_VOUCHER,
                Account.TAX_PAYABLE,
                Account.PLATFORM_FEE,
                Account.PROVIDER_PAYABLE,
            ),
            moved[3:],
            strict=True,
        )
    )
    bars = waterfall(sold, Moved(*map(yuan, moved[:3]), balances, held=held))
    for before, bar in itertools.pairwise(bars):
        assert bar.end == before.end if bar.is_total else bar.start == before.end
    assert bars[-1].step is Step.PROVIDER
