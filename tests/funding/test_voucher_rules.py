"""What a code pays, as tables; and what it never does, whatever the terms."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.money import Money
from marketplace.funding import voucher_rules
from marketplace.funding.facts import Buyer, Offer
from marketplace.funding.voucher_rules import Standing, Terms, ValueKind, VoucherRefused, decide

TODAY = date(2026, 2, 28)
BUYER = Buyer(person_id=1, email_domain="museum.example", organisation_ids=frozenset())
OFFER = Offer(
    run_id=10,
    course_id=20,
    category_id=None,
    provider_ids=frozenset({30, 31}),
    provider_kinds=frozenset(),
    skill_ids=frozenset(),
    starts_on=None,
    ends_on=None,
    mode="online",
)
AMOUNT = Terms(ValueKind.AMOUNT, "CNY", amount=20000, use_cap=5, money_cap=100000, person_cap=2)
PERCENT = Terms(ValueKind.PERCENT, "CNY", percent=50, use_cap=5, money_cap=100000)
FULL = Terms(ValueKind.FULL, "CNY", use_cap=1, money_cap=100000)


def pays(terms, standing=None, *, to_pay=80000, today=TODAY, currency="CNY"):
    return decide(terms, standing or Standing(), buyer=BUYER, offer=OFFER, to_pay=Money(to_pay, currency), today=today)


@pytest.mark.parametrize(
    ("terms", "standing", "to_pay", "amount", "left"),
    [
        (AMOUNT, Standing(), 80000, 20000, None),
        (AMOUNT, Standing(), 15000, 15000, None),
        (AMOUNT, Standing(spent=90000), 80000, 10000, 10000),
        (PERCENT, Standing(), 80000, 40000, None),
        (PERCENT, Standing(), 333, 166, None),
        (FULL, Standing(), 80000, 80000, None),
        (FULL, Standing(spent=60000), 80000, 40000, 40000),
        (replace(FULL, money_cap=None), Standing(spent=10**9), 80000, 80000, None),
    ],
)
def test_what_a_code_pays(terms, standing, to_pay, amount, left):
    told = None if left is None else Money(left, "CNY")
    assert pays(terms, standing, to_pay=to_pay) == (Money(amount, "CNY"), told)


@pytest.mark.parametrize(
    ("terms", "standing", "code"),
    [
        (AMOUNT, Standing(is_ended=True), "voucher_ended"),
        (AMOUNT, Standing(uses=5), "voucher_used_up"),
        (AMOUNT, Standing(uses=2, uses_by_person=2), "voucher_used_by_you"),
        (AMOUNT, Standing(uses=1, spent=100000), "voucher_money_cap"),
        (replace(AMOUNT, starts_on=TODAY + timedelta(days=1)), Standing(), "voucher_not_yet"),
        (replace(AMOUNT, ends_on=TODAY - timedelta(days=1)), Standing(), "voucher_expired"),
        (replace(AMOUNT, person_ids=frozenset({2})), Standing(), "voucher_not_for_you"),
        (replace(AMOUNT, email_domains=frozenset({"other.example"})), Standing(), "voucher_not_for_you"),
        (replace(AMOUNT, run_ids=frozenset({11})), Standing(), "voucher_not_for_run"),
        (replace(AMOUNT, course_ids=frozenset({21})), Standing(), "voucher_not_for_run"),
        (replace(AMOUNT, provider_ids=frozenset({32})), Standing(), "voucher_not_for_run"),
        (replace(AMOUNT, currency="USD"), Standing(), "voucher_currency"),
    ],
)
def test_why_a_code_pays_nothing(terms, standing, code):
    with pytest.raises(VoucherRefused) as refused:
        pays(terms, standing)

    assert refused.value.code == code


def test_bounds_that_fit_and_days_that_are_the_first_and_the_last():
    fitting = replace(
        AMOUNT,
        starts_on=TODAY,
        ends_on=TODAY,
        run_ids=frozenset({10}),
        course_ids=frozenset({20}),
        provider_ids=frozenset({31}),
        person_ids=frozenset({1}),
        email_domains=frozenset({"museum.example"}),
    )
    assert pays(fitting) == (Money(20000, "CNY"), None)


def test_a_code_is_kept_where_nothing_is_left_to_pay():
    with pytest.raises(VoucherRefused, match="voucher_not_needed"):
        pays(FULL, to_pay=0)


TERMS = st.builds(
    Terms,
    st.sampled_from(ValueKind),
    st.just("CNY"),
    amount=st.integers(1, 200000),
    percent=st.integers(1, 100),
    use_cap=st.none() | st.integers(1, 5),
    money_cap=st.none() | st.integers(1, 200000),
    person_cap=st.none() | st.integers(1, 3),
)
STANDINGS = st.builds(Standing, uses=st.integers(0, 5), spent=st.integers(0, 200000), uses_by_person=st.integers(0, 3))


@given(
    terms=TERMS,
    standing=STANDINGS,
    price=st.integers(0, 300000),
    subsidised=st.integers(0, 100),
)
def test_price_is_subsidy_and_voucher_and_due_and_none_is_negative(terms, standing, price, subsidised):
    subsidy = price * subsidised // 100
    try:
        voucher = pays(terms, standing, to_pay=price - subsidy)[0].minor
    except VoucherRefused:
        return
    due = price - subsidy - voucher

    assert 0 < voucher <= price - subsidy
    assert due >= 0
    assert terms.money_cap is None or standing.spent + voucher <= terms.money_cap
    assert terms.use_cap is None or standing.uses < terms.use_cap


def test_a_percentage_that_rounds_to_nothing_leaves_the_code_unspent():
    with pytest.raises(VoucherRefused, match="voucher_not_needed"):
        pays(replace(PERCENT, percent=1), to_pay=99)


@pytest.mark.parametrize(
    "typed",
    [
        "k7qx9m2p4tra8w0n",
        "K7QX-9M2P-4TRA-8W0N",
        " k7qx 9m2p 4tra 8won ",
        "Ｋ７ＱＸ－９Ｍ２Ｐ－４ＴＲＡ－８Ｗ０Ｎ",
        "K7QX–9M2P–4TRA–8WON",
    ],
)
def test_a_code_is_the_same_however_it_is_typed(typed):
    assert voucher_rules.normal_code(typed) == "k7qx9m2p4tra8w0n"


def test_a_drawn_code_holds_eighty_bits():
    codes = {voucher_rules.code_from(bytes([place]) + bytes(9)) for place in range(256)}
    codes |= {voucher_rules.code_from(bytes(9) + bytes([place])) for place in range(256)}

    assert len(codes) == 511
    assert {len(code) for code in codes} == {16}
    assert voucher_rules.shown_code("k7qx9m2p4tra8w0n") == "K7QX-9M2P-4TRA-8W0N"


@pytest.mark.parametrize(
    ("terms", "words", "fields"),
    [
        (FULL, "", []),
        (replace(FULL, use_cap=None), "", ["use_cap"]),
        (replace(FULL, money_cap=None), "", ["money_cap"]),
        (replace(FULL, money_cap=None), "yes", ["money_cap"]),
        (replace(FULL, use_cap=None, money_cap=None), "I want this code without a limit.", []),
        (replace(FULL, money_cap=None), "我确认此券不设上限", []),
        (replace(AMOUNT, amount=None), "", ["amount"]),
        (replace(PERCENT, percent=101), "", ["percent"]),
        (replace(FULL, starts_on=TODAY, ends_on=TODAY - timedelta(days=1)), "", ["ends_on"]),
        (replace(FULL, use_cap=0), "", ["use_cap"]),
        (replace(FULL, money_cap=0), "", ["money_cap"]),
    ],
)
def test_terms_say_what_they_pay_and_where_it_ends(terms, words, fields):
    assert list(voucher_rules.check(terms, uncapped_words=words)) == fields


def test_the_money_cap_of_an_amount_follows_from_its_uses():
    assert voucher_rules.with_money_cap(replace(AMOUNT, money_cap=None)) == 100000
    assert voucher_rules.with_money_cap(replace(FULL, money_cap=None)) is None
    assert voucher_rules.worst_case(AMOUNT, 10) == Money(1000000, "CNY")
