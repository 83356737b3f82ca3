"""Who gets how much, and what follows: the rules without a database."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.money import Money
from marketplace.funding import kept_rules, subsidy_rules
from marketplace.funding.facts import Buyer, Offer
from marketplace.funding.subsidy_rules import Consequence, Earning, Evidence, Frame, Left, Named, Rule, Verdict
from marketplace.funding.subsidy_states import COMMITTED, TRANSITIONS, State

FRAME = Frame("CNY", "Asia/Shanghai", date(2026, 1, 1), date(2026, 12, 31), date(2026, 3, 1), date(2026, 12, 31))
BUYER = Buyer(1, "example.com", frozenset({5}), "310000", "310104", "8850", "Curator", "small", "2-4", False)
OFFER = Offer(
    1, 1, 7, frozenset({3}), frozenset({"university"}), frozenset({11}), date(2026, 6, 1), date(2026, 6, 9), "online"
)
TODAY = date(2026, 5, 1)
HALF = Rule(percent=50)


def decide(rule=HALF, frame=FRAME, buyer=BUYER, offer=OFFER, price=128000, left=None, day=TODAY):
    return subsidy_rules.decide(
        rule, frame, buyer, offer, Money(price, "CNY"), left=left or Left(10_000_000), day=day
    )  # fmt: skip


def verdicts(decision):
    return {reason.code: reason.verdict for reason in decision.reasons}


@pytest.mark.parametrize(
    ("rule", "price", "had", "minor"),
    [
        (Rule(percent=50), 128000, 0, 64000),
        (Rule(percent=33), 100, 0, 33),
        (Rule(percent=33), 101, 0, 33),
        (Rule(percent=100), 128000, 0, 128000),
        (Rule(fixed_minor=50000), 128000, 0, 50000),
        (Rule(fixed_minor=50000), 30000, 0, 30000),
        (Rule(percent=50, line_cap_minor=40000), 128000, 0, 40000),
        (Rule(percent=50, line_cap_minor=40000, person_year_cap_minor=60000), 128000, 30000, 30000),
        (Rule(percent=50, person_year_cap_minor=60000), 128000, 60000, 0),
        (Rule(percent=50, person_year_cap_minor=60000), 128000, 70000, 0),
        (Rule(percent=1), 99, 0, 0),
    ],
)
def test_how_much(rule, price, had, minor):
    assert subsidy_rules.granted_minor(rule, price, Left(10_000_000, had)) == minor


amounts = st.integers(0, 10**12)
caps = st.one_of(st.none(), st.integers(1, 10**12))
how_much = st.one_of(
    st.builds(lambda percent: {"percent": percent}, st.integers(1, 100)),
    st.builds(lambda fixed: {"fixed_minor": fixed}, st.integers(1, 10**12)),
)


@given(how_much, caps, caps, amounts, amounts, amounts)
def test_never_above_a_cap_and_never_negative(pays, line_cap, year_cap, price, had, budget):
    rule = Rule(**pays, line_cap_minor=line_cap, person_year_cap_minor=year_cap)
    decision = decide(rule, price=price, left=Left(budget, had))
    amount = decision.amount.minor

    assert 0 <= amount <= price
    assert line_cap is None or amount <= line_cap
    assert year_cap is None or amount + had <= max(year_cap, had)
    assert rule.percent is None or amount * 100 <= price * rule.percent
    if decision.is_granted:
        assert 0 < amount <= budget


@given(st.integers(0, 10**9), st.integers(0, 100), st.sampled_from(Consequence), st.sampled_from(Consequence))
def test_what_is_not_owed_is_borne_or_returns(amount, percent, if_lapsed, if_rejected):
    rule = Rule(percent=50, owed_percent=percent, if_lapsed=if_lapsed, if_rejected=if_rejected)
    for state, _act, to in TRANSITIONS:
        owed = subsidy_rules.owed_minor(rule, state, to, amount)
        held = subsidy_rules.committed_minor(to, amount, owed)
        assert 0 <= owed <= amount
        assert 0 <= held <= amount - owed
        assert held == amount or to not in COMMITTED


@pytest.mark.parametrize(
    ("rule", "code", "verdict"),
    [
        ({"regions": ("310000",)}, "region", Verdict.MET),
        ({"regions": ("110000",)}, "region", Verdict.FAILED),
        ({"districts": ("310104", "310105")}, "district", Verdict.MET),
        ({"industries": ("R",)}, "industry", Verdict.MET),
        ({"industries": ("88",)}, "industry", Verdict.MET),
        ({"industries": ("885",)}, "industry", Verdict.MET),
        ({"industries": ("87", "65")}, "industry", Verdict.FAILED),
        ({"employer_sizes": ("micro", "small")}, "employer_size", Verdict.MET),
        ({"employer_sizes": ("large",)}, "employer_size", Verdict.FAILED),
        ({"experience_bands": ("0-1",)}, "experience", Verdict.FAILED),
        ({"first_time_only": True}, "first_time", Verdict.MET),
        ({"organisations": (Named(5, "学会", "Guild"),)}, "organisation", Verdict.MET),
        ({"organisations": (Named(6, "学会", "Guild"),)}, "organisation", Verdict.FAILED),
        ({"skills": (Named(11, "建模", "Modelling"),)}, "skill", Verdict.MET),
        ({"skills": (Named(13, "建模", "Modelling"),)}, "skill", Verdict.FAILED),
        ({"categories": (Named(7, "游戏", "Games"),)}, "category", Verdict.MET),
        ({"providers": (Named(4, "大学", "University"),)}, "provider", Verdict.FAILED),
        ({"provider_kinds": ("university",)}, "provider_kind", Verdict.MET),
        ({"provider_kinds": ("industry_partner",)}, "provider_kind", Verdict.FAILED),
        ({"modes": ("online",)}, "mode", Verdict.MET),
        ({"modes": ("in_person",)}, "mode", Verdict.FAILED),
    ],
)
def test_each_condition_says_yes_or_no(rule, code, verdict):
    decision = decide(Rule(percent=50, **rule))

    assert verdicts(decision) == {
        "applications": Verdict.MET,
        "run_dates": Verdict.MET,
        code: verdict,
        "budget": Verdict.MET,
    }
    assert decision.is_granted is (verdict is Verdict.MET)
    assert decision.amount == Money(64000, "CNY")


ABOUT_THE_PERSON = Rule(
    percent=50, regions=("310000",), districts=("310104",), industries=("R",), employer_sizes=("small",),
    experience_bands=("2-4",), first_time_only=True,
)  # fmt: skip


def test_an_answer_not_given_is_missing_and_never_a_yes():
    silent = Buyer(1, "example.com", frozenset())
    decision = decide(ABOUT_THE_PERSON, buyer=silent)

    assert decision.verdict is Verdict.MISSING
    assert decision.missing == ("region", "district", "industry", "employer_size", "experience")
    assert not decision.is_granted


def test_one_failure_weighs_more_than_what_is_missing():
    decision = decide(ABOUT_THE_PERSON, buyer=Buyer(1, "example.com", frozenset(), region="110000"))

    assert decision.verdict is Verdict.FAILED


def test_a_visitor_is_told_conditions_and_the_amount():
    decision = decide(ABOUT_THE_PERSON, buyer=None)

    assert decision.verdict is Verdict.ASKED
    assert decision.amount == Money(64000, "CNY")
    assert {code for code, verdict in verdicts(decision).items() if verdict is Verdict.ASKED} == {
        "region", "district", "industry", "employer_size", "experience", "first_time",
    }  # fmt: skip


def test_a_visitor_is_not_promised_what_the_course_cannot_have():
    assert decide(replace(ABOUT_THE_PERSON, modes=("in_person",)), buyer=None).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("day", "is_granted"),
    [(date(2025, 12, 31), False), (date(2026, 1, 1), True), (date(2026, 12, 31), True), (date(2027, 1, 1), False)],
)
def test_the_days_of_the_period_are_included(day, is_granted):
    assert decide(day=day).is_granted is is_granted


@pytest.mark.parametrize(
    ("starts_on", "is_granted"),
    [
        (date(2026, 2, 28), False),
        (date(2026, 3, 1), True),
        (date(2026, 12, 31), True),
        (date(2027, 1, 1), False),
        (None, False),
    ],
)
def test_a_run_must_start_within_its_days(starts_on, is_granted):
    assert decide(offer=replace(OFFER, starts_on=starts_on)).is_granted is is_granted


@pytest.mark.parametrize(
    ("rule", "price", "left", "code"),
    [
        (HALF, 128000, Left(63999), "budget"),
        (Rule(percent=50, person_year_cap_minor=60000), 128000, Left(10_000_000, 60000), "person_cap"),
        (HALF, 0, Left(10_000_000), "price"),
        (Rule(percent=1), 99, Left(10_000_000), "price"),
    ],
)
def test_why_no_money_is_given(rule, price, left, code):
    decision = decide(rule, price=price, left=left)

    assert decision.verdict is Verdict.FAILED
    assert [reason.code for reason in decision.reasons if reason.verdict is Verdict.FAILED][:1] == [code]


def test_the_last_fen_of_a_budget_is_given():
    assert decide(left=Left(64000)).is_granted


def test_a_price_in_another_currency_is_not_paid():
    decision = subsidy_rules.decide(
        HALF, FRAME, BUYER, OFFER, Money(10000, "EUR"), left=Left(10_000_000), day=TODAY
    )  # fmt: skip

    assert (decision.verdict, decision.amount) == (Verdict.FAILED, Money(0, "EUR"))


BY = datetime(2026, 7, 10, 16, tzinfo=UTC)
BEFORE = BY - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("rule", "evidence", "now", "found"),
    [
        ({}, Evidence(True, 100, BEFORE), BEFORE, Earning.EARNED),
        ({}, Evidence(True, 100, BEFORE), BY, Earning.EARNED),
        ({}, Evidence(True, 100, BY), BY, Earning.LAPSED),
        ({}, Evidence(True, 100, None), BEFORE, Earning.OPEN),
        ({}, Evidence(True, 100, None), BY, Earning.LAPSED),
        ({"attendance_percent": 80}, Evidence(True, 80, BEFORE), BEFORE, Earning.EARNED),
        ({"attendance_percent": 80}, Evidence(True, 79, BEFORE), BEFORE, Earning.OPEN),
        ({"attendance_percent": 80}, Evidence(True, 79, BEFORE), BY, Earning.LAPSED),
        ({"attendance_percent": 80, "needs_completion": False}, Evidence(True, 80), BEFORE, Earning.EARNED),
        ({"attendance_percent": 80, "needs_completion": False}, Evidence(False, 100), BEFORE, Earning.OPEN),
        ({"needs_completion": False}, Evidence(True, 0), BEFORE, Earning.EARNED),
    ],
)
def test_what_earns_a_subsidy(rule, evidence, now, found):
    assert subsidy_rules.weigh(Rule(percent=50, **rule), evidence, earn_by=BY, now=now) is found


@pytest.mark.parametrize(
    ("rule", "state", "to", "owed", "held"),
    [
        (Rule(percent=50), State.RESERVED, State.LAPSED, 1001, 0),
        (Rule(percent=50, owed_percent=50), State.RESERVED, State.LAPSED, 500, 501),
        (Rule(percent=50, if_lapsed=Consequence.BORNE), State.RESERVED, State.LAPSED, 0, 1001),
        (Rule(percent=50), State.EARNED, State.LAPSED, 0, 1001),
        (Rule(percent=50), State.CLAIMED, State.REJECTED, 0, 1001),
        (Rule(percent=50, if_rejected=Consequence.LEARNER_OWES), State.CLAIMED, State.REJECTED, 1001, 0),
        (Rule(percent=50), State.RESERVED, State.RELEASED, 0, 0),
        (Rule(percent=50), State.PAID, State.CLAWED_BACK, 0, 0),
        (Rule(percent=50), State.CLAIMED, State.PAID, 0, 1001),
        (Rule(percent=50), State.EARNED, State.REJECTED, 0, 1001),
        (Rule(percent=50), State.PAID, State.REVOKED, 0, 0),
        (Rule(percent=50, if_rejected=Consequence.LEARNER_OWES, owed_percent=50), State.PAID, State.REVOKED, 500, 0),
        (Rule(percent=50, if_rejected=Consequence.LEARNER_OWES, owed_percent=50), State.REVOKED, State.REPAID, 500, 0),
        (Rule(percent=50, if_rejected=Consequence.LEARNER_OWES), State.REPAID, State.SENT_BACK, 0, 0),
    ],
)
def test_who_bears_what_ended(rule, state, to, owed, held):
    assert subsidy_rules.owed_minor(rule, state, to, 1001) == owed
    assert subsidy_rules.committed_minor(to, 1001, owed) == held


def test_a_deadline_includes_its_local_day():
    assert subsidy_rules.end_of_day(date(2026, 6, 30), "Asia/Shanghai") == datetime(2026, 6, 30, 16, tzinfo=UTC)
    # The night the clocks go forward is an hour shorter.
    assert subsidy_rules.end_of_day(date(2026, 3, 29), "Europe/London") == datetime(2026, 3, 29, 23, tzinfo=UTC)
    assert subsidy_rules.earn_by(HALF, OFFER, day=TODAY, zone="Asia/Shanghai") == datetime(2026, 7, 9, 16, tzinfo=UTC)


def test_a_year_is_the_calendar_year_of_the_zone():
    new_year = datetime(2025, 12, 31, 16, tzinfo=UTC)
    year = (new_year, datetime(2026, 12, 31, 16, tzinfo=UTC))

    assert subsidy_rules.year_of(new_year, "Asia/Shanghai") == year
    assert subsidy_rules.year_of(new_year - timedelta(seconds=1), "Asia/Shanghai")[1] == new_year


def test_every_state_is_reached_and_the_last_ones_stay():
    reached = {to for _source, _act, to in TRANSITIONS} | {State.APPLIED}
    final = set(State) - {source for source, _act, _to in TRANSITIONS}

    assert reached == set(State)
    assert final == {State.SENT_BACK}
    assert len({(source, act) for source, act, _to in TRANSITIONS}) == len(TRANSITIONS)


RULES = st.builds(
    Rule,
    regions=st.tuples(st.sampled_from(("310000", "110000"))),
    skills=st.lists(st.builds(Named, st.integers(1, 9), st.text(), st.text()), max_size=3).map(tuple),
    percent=st.one_of(st.none(), st.integers(1, 100)),
    attendance_percent=st.one_of(st.none(), st.integers(1, 100)),
    if_lapsed=st.sampled_from(Consequence),
    needs_review=st.booleans(),
)


@given(RULES)
def test_a_rule_survives_the_database(rule):
    assert kept_rules.from_json(kept_rules.as_json(rule)) == rule
