"""Prices as tables: which rule makes the price, and what is said of the others."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.catalog.pricing_rules import Outcome, PriceFacts, Rule, RuleKind, check, decide
from marketplace.foundation.errors import Invalid
from marketplace.foundation.money import Money

TODAY = date(2026, 3, 31)
LIST = Money(100000, "CNY")


def rule(kind=RuleKind.EARLY_BIRD, *, rule_id=1, **values):
    given_values = {"currency": "CNY", "percent_off": None if "price" in values else 20} | values
    return Rule(rule_id=rule_id, kind=kind, **given_values)


def facts(**values):
    return PriceFacts(**({"list_price": LIST, "today": TODAY, "seats_taken": 0} | values))


EARLY = rule(ends_on=TODAY)
FIRST_TEN = rule(RuleKind.FIRST_SEATS, first_seats=10, price=90000)
MEMBERS = rule(RuleKind.MEMBERS, organisation_id=7, price=70000)
THIRD = rule(RuleKind.COLLEAGUES, colleagues_from=3, percent_off=30)


@pytest.mark.parametrize(
    ("tried", "given_facts", "outcome", "amount"),
    [
        (EARLY, facts(), Outcome.CHOSEN, 80000),
        (EARLY, facts(today=TODAY + timedelta(days=1)), Outcome.ENDED, 100000),
        (rule(starts_on=TODAY, ends_on=TODAY), facts(), Outcome.CHOSEN, 80000),
        (rule(starts_on=TODAY + timedelta(days=1), ends_on=date(2026, 5, 1)), facts(), Outcome.NOT_YET, 100000),
        (FIRST_TEN, facts(seats_taken=9), Outcome.CHOSEN, 90000),
        (FIRST_TEN, facts(seats_taken=10), Outcome.SEATS_GONE, 100000),
        (MEMBERS, facts(), Outcome.SIGN_IN, 100000),
        (MEMBERS, facts(is_known=True), Outcome.NOT_A_MEMBER, 100000),
        (MEMBERS, facts(is_known=True, colleagues={8: 5}), Outcome.NOT_A_MEMBER, 100000),
        (MEMBERS, facts(is_known=True, colleagues={7: 0}), Outcome.CHOSEN, 70000),
        (THIRD, facts(), Outcome.SIGN_IN, 100000),
        (THIRD, facts(is_known=True), Outcome.TOO_FEW_COLLEAGUES, 100000),
        (THIRD, facts(is_known=True, colleagues={7: 1}), Outcome.TOO_FEW_COLLEAGUES, 100000),
        (THIRD, facts(is_known=True, colleagues={7: 2}), Outcome.CHOSEN, 70000),
        (THIRD, facts(is_known=True, colleagues={7: 1, 8: 2}), Outcome.CHOSEN, 70000),
        (rule(price=100000, ends_on=TODAY), facts(), Outcome.NOT_CHEAPER, 100000),
        (rule(price=5000, currency="USD", ends_on=TODAY), facts(), Outcome.OTHER_CURRENCY, 100000),
        (rule(percent_off=100, ends_on=TODAY), facts(), Outcome.CHOSEN, 0),
    ],
)
def test_one_rule(tried, given_facts, outcome, amount):
    price = decide([tried], given_facts)

    assert (price.tried[0].outcome, price.amount) == (outcome, Money(amount, "CNY"))
    assert price.chosen == (tried if outcome is Outcome.CHOSEN else None)


def test_colleagues_of_one_organisation_are_not_those_of_another():
    third = rule(RuleKind.COLLEAGUES, colleagues_from=3, organisation_id=7)

    def outcome(colleagues):
        return decide([third], facts(is_known=True, colleagues=colleagues)).tried[0].outcome

    assert [outcome({7: 2}), outcome({7: 1, 8: 9}), outcome({8: 9})] == [
        Outcome.CHOSEN,
        Outcome.TOO_FEW_COLLEAGUES,
        Outcome.NOT_A_MEMBER,
    ]


def test_the_cheapest_counts_wherever_it_stands_and_the_first_of_two_equal_ones():
    dear, cheap, twin = rule(rule_id=1, price=90000), rule(rule_id=2, price=80000), rule(rule_id=3, percent_off=20)

    price = decide([dear, cheap, twin], facts())
    assert [one.outcome for one in price.tried] == [Outcome.BEATEN, Outcome.CHOSEN, Outcome.BEATEN]
    assert decide([twin, cheap, dear], facts()).chosen == twin


def test_a_fraction_of_a_fen_is_the_buyers():
    third_off = rule(percent_off=33, ends_on=TODAY)

    assert decide([third_off], facts(list_price=Money(101, "CNY"))).amount == Money(67, "CNY")
    assert decide([third_off], facts(list_price=Money(101, "JPY"))).amount == Money(67, "JPY")


def test_the_decision_is_kept_with_the_order():
    recorded = decide([rule(rule_id=4, ends_on=TODAY), rule(rule_id=5, price=95000)], facts()).recorded()

    assert recorded == {
        "rule": "early_bird",
        "rule_id": 4,
        "list_minor": 100000,
        "price_minor": 80000,
        "tried": [[4, "chosen", 80000], [5, "beaten", 95000]],
        "version": 1,
    }
    assert decide([], facts()).recorded() == {
        "rule": "list_price",
        "rule_id": None,
        "list_minor": 100000,
        "price_minor": 100000,
        "tried": [],
        "version": 1,
    }


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (rule(percent_off=None, ends_on=TODAY), "price"),
        (rule(price=100, percent_off=5, ends_on=TODAY), "price"),
        (rule(price=100000, ends_on=TODAY), "price"),
        (rule(price=-1, ends_on=TODAY), "price"),
        (rule(percent_off=0, ends_on=TODAY), "percent_off"),
        (rule(percent_off=101, ends_on=TODAY), "percent_off"),
        (rule(), "ends_on"),
        (rule(starts_on=TODAY, ends_on=TODAY - timedelta(days=1)), "ends_on"),
        (rule(RuleKind.FIRST_SEATS), "first_seats"),
        (rule(RuleKind.COLLEAGUES, colleagues_from=1), "colleagues_from"),
        (rule(RuleKind.MEMBERS), "organisation"),
    ],
)
def test_a_rule_that_says_nothing_is_refused_at_its_field(wrong, field):
    with pytest.raises(Invalid) as refused:
        check(wrong, list_price=LIST)

    assert list(refused.value.fields) == [field]


RULES = st.lists(
    st.builds(
        lambda number, price, percent, seats, ends, organisation, colleagues: Rule(
            rule_id=number,
            kind=RuleKind.FIRST_SEATS,
            currency="CNY",
            price=price,
            percent_off=None if price is not None else percent,
            first_seats=seats,
            ends_on=ends,
            organisation_id=organisation,
            colleagues_from=colleagues,
        ),
        st.integers(1, 9),
        st.none() | st.integers(0, 200000),
        st.integers(1, 100),
        st.none() | st.integers(1, 5),
        st.none() | st.dates(date(2026, 1, 1), date(2026, 12, 31)),
        st.none() | st.integers(1, 3),
        st.none() | st.integers(2, 4),
    ),
    max_size=6,
)
FACTS = st.builds(
    PriceFacts,
    list_price=st.integers(0, 150000).map(lambda minor: Money(minor, "CNY")),
    today=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    seats_taken=st.integers(0, 6),
    is_known=st.booleans(),
    colleagues=st.dictionaries(st.integers(1, 3), st.integers(0, 4)),
)


# Drawing rules takes milliseconds; on a busy machine it seems slow.
@given(rules=RULES, given_facts=FACTS, more=RULES)
def test_a_price_is_never_negative_nor_above_the_list_price_and_more_rules_never_raise_it(rules, given_facts, more):
    price = decide(rules, given_facts)

    assert 0 <= price.amount.minor <= given_facts.list_price.minor
    assert [one.outcome for one in price.tried].count(Outcome.CHOSEN) == (price.chosen is not None)
    assert decide([*more, *rules], given_facts).amount <= price.amount
    assert decide(list(reversed(rules)), given_facts).amount == price.amount
