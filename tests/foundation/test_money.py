import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.money import Money, MoneyError


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any))
def test_allocation_loses_no_unit_and_stays_within_one_of_the_exact_share(minor, weights):
    shares = Money(minor, "CNY").allocate(weights)

    assert sum(share.minor for share in shares) == minor
    for share, weight in zip(shares, weights, strict=True):
        exact = Decimal(minor) * weight / sum(weights)
        assert abs(share.minor - exact) < 1


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1,280.50", "CNY", 128050),
        ("¥0.01", "CNY", 1),
        ("1280", "JPY", 1280),
        (" -3.5 ", "EUR", -350),
        ("￥1 280", "CNY", 128000),
        ("１，２８０．５０", "CNY", 128050),
        ("-¥12,345,678", "CNY", -1234567800),
    ],
)
def test_parse_reads_major_units(text, currency, minor):
    assert Money.parse(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.005", "CNY"),
        ("1.5", "JPY"),
        ("", "CNY"),
        ("NaN", "CNY"),
        ("1", "ISK"),
        ("一百", "CNY"),
        # A decimal comma is no mark of thousands; nor does anybody write money with an exponent.
        ("128,50", "EUR"),
        ("1.280,50", "EUR"),
        ("1,28,0", "CNY"),
        ("1e3", "CNY"),
        ("1_000", "CNY"),
        (".", "CNY"),
        ("1 2", "CNY"),
    ],
)
def test_parse_refuses_what_it_would_have_to_guess(text, currency):
    with pytest.raises(MoneyError):
        Money.parse(text, currency)


@pytest.mark.parametrize("text", ["1e999990", "1e-999990", "9" * 16, "1e3000000", "Infinity"])
def test_parse_refuses_at_once_what_no_price_can_be(text):
    began = time.process_time()
    with pytest.raises(MoneyError):
        Money.parse(text, "CNY")
    assert time.process_time() - began < 1


def test_format_uses_the_charged_digits_in_each_language():
    assert Money(128050, "CNY").format("zh_Hans_CN") == "¥1,280.50"
    assert Money(128050, "CNY").format("en") == "CN¥1,280.50"
    assert Money(1280, "JPY").format("en") == "¥1,280"


def test_currencies_and_floats_do_not_mix():
    with pytest.raises(MoneyError):
        Money(1, "CNY") + Money(1, "USD")
    with pytest.raises(MoneyError):
        Money(1.0, "CNY")
