"""Programmes: money by reference, rules in versions, what is open today."""

from datetime import timedelta

import pytest

from marketplace.foundation import clock
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.money import Money
from marketplace.funding import estimates, programmes
from marketplace.funding.subsidy_rules import Rule, Verdict
from tests.factories import make_person, make_staff
from tests.funding.made import buyer_of, make_programme, make_subsidy, offer

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def officer():
    return make_staff("funding_officer")


def test_the_budget_is_the_sum_of_deposits_found_by_reference(officer):
    programme = make_programme(budget=100000)
    programmes.deposit(
        programme.id, Money(50000, "CNY"), reference="沪财 2026-7", actor_id=officer.id, now=clock.now()
    )  # fmt: skip

    assert programme.deposited_minor == 150000
    assert sum(deposit.amount_minor for deposit in programmes.get(programme.public_id).deposits) == 150000
    with pytest.raises(Refused, match="reference"):
        programmes.deposit(
            programme.id, Money(1, "CNY"), reference="沪财 2026-7 ", actor_id=officer.id, now=clock.now()
        )  # fmt: skip


def test_what_is_promised_cannot_be_taken_back(officer):
    programme = make_programme(budget=100000)
    make_subsidy(programme)

    with pytest.raises(Refused, match="within_budget"):
        programmes.deposit(
            programme.id, Money(-36001, "CNY"), reference="back", actor_id=officer.id, now=clock.now()
        )  # fmt: skip
    programmes.deposit(programme.id, Money(-36000, "CNY"), reference="back", actor_id=officer.id, now=clock.now())


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Rule(), "percent"),
        (Rule(percent=50, fixed_minor=1), "percent"),
        (Rule(percent=101), "percent"),
        (Rule(percent=0), "percent"),
        (Rule(fixed_minor=0), "fixed"),
        (Rule(percent=50, line_cap_minor=0), "line_cap"),
        (Rule(percent=50, person_year_cap_minor=-1), "person_year_cap"),
        (Rule(percent=50, attendance_percent=101), "attendance_percent"),
        (Rule(percent=50, owed_percent=101), "owed_percent"),
        (Rule(percent=50, earn_within_days=-1), "earn_within_days"),
    ],
)
def test_a_senseless_rule_is_not_written(rule, field):
    with pytest.raises(Invalid) as caught:
        programmes.check_rule(rule)
    assert list(caught.value.fields) == [field]


def test_a_draft_decides_nothing_until_it_is_published(officer):
    programme = make_programme(rule=Rule(percent=50))
    programmes.write_draft(programme.id, Rule(percent=10), actor_id=officer.id, now=clock.now())
    programmes.write_draft(programme.id, Rule(percent=20), actor_id=officer.id, now=clock.now())
    assert programmes.rule_in_force(programme.id).rule.percent == 50

    published = programmes.publish_draft(programme.id, actor_id=officer.id, now=clock.now())

    assert (published.version, programmes.rule_in_force(programme.id).rule.percent) == (2, 20)
    with pytest.raises(Refused, match="no_draft"):
        programmes.publish_draft(programme.id, actor_id=officer.id, now=clock.now())


def test_every_act_stands_in_the_history(officer):
    programme = make_programme()
    programmes.change(programme.id, {"name_en": "Another"}, actor_id=officer.id, now=clock.now())
    programmes.change(programme.id, {"name_en": "Another"}, actor_id=officer.id, now=clock.now())
    programmes.close(programme.id, is_closed=True, actor_id=officer.id, now=clock.now())

    kinds = [event.kind for event in programmes.list_events(programme.id)]
    assert kinds == ["closed", "changed", "rule_published", "rule_drafted", "deposited", "created"]


def test_a_programme_ends_after_it_begins(officer):
    with pytest.raises(Invalid, match="days_in_order"):
        make_programme(applications_until=clock.now().date() - timedelta(days=30))
    with pytest.raises(Invalid, match="days_in_order"):
        make_programme(runs_from=clock.now().date(), runs_until=clock.now().date() - timedelta(days=1))


def test_the_best_programme_comes_first_and_a_refused_one_last():
    small, large = make_programme(rule=Rule(percent=20)), make_programme(rule=Rule(percent=50))
    closed_to = make_programme(rule=Rule(percent=90, regions=("110000",)))
    unsure = make_programme(rule=Rule(percent=90, industries=("R",)))
    person = make_person(region="310000")

    found = estimates.estimate(buyer_of(person), offer(), Money(128000, "CNY"), now=clock.now())

    assert [one.programme.id for one in found] == [large.id, small.id, unsure.id, closed_to.id]
    assert [one.decision.verdict for one in found] == [Verdict.MET, Verdict.MET, Verdict.MISSING, Verdict.FAILED]
    assert [one.programme.id for one in estimates.promising(found)] == [large.id, small.id, unsure.id]


def test_an_estimate_knows_what_the_person_has_had_this_year():
    programme = make_programme(rule=Rule(percent=50, person_year_cap_minor=100000))
    person = make_person()
    make_subsidy(programme, person)

    [found] = estimates.estimate(buyer_of(person), offer(), Money(128000, "CNY"), now=clock.now())

    assert found.amount == Money(36000, "CNY")
