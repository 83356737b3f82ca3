"""Doors to the price rules: whose they are, and what they show."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.catalog import pricing, search
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.foundation import clock
from marketplace.foundation.database import transaction
from marketplace.foundation.money import Money
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff, sign_in


@pytest.fixture
def provider(app):
    return make_organisation()


@pytest.fixture
def run(provider):
    return make_run(make_course(provider))


def early(days=5):
    last = (clock.now() + timedelta(days=days)).date()
    return Rule(rule_id=0, kind=RuleKind.EARLY_BIRD, currency="CNY", percent_off=20, ends_on=last)


def filled(**values):
    return {"kind": "early_bird", "percent_off": "20", "ends_on": early().ends_on.isoformat()} | values


def test_a_rule_is_added_changed_and_ended(client, provider, run):
    finance = make_member(provider, "finance")
    sign_in(client, finance)
    path = f"/runs/{run.public_id}/prices"

    assert client.post(f"{path}/new?lang=en", data=filled()).location == path
    [rule] = pricing.list_in_force([run.id])
    assert (rule.percent_off, rule.created_by_id) == (20, finance.id)
    changed = client.post(f"{path}/{rule.public_id}?lang=en", data=filled(percent_off="", price="980.00"))
    assert changed.location == path
    [version] = pricing.list_in_force([run.id])
    assert (version.price_minor, version.replaces_id) == (98000, rule.id)
    page = client.get(f"{path}?lang=en").text
    assert "CN¥980.00" in page
    assert "1 rule that ended" in page

    assert client.post(f"{path}/{version.public_id}/end").location == path
    assert pricing.list_in_force([run.id]) == []
    assert "Everyone pays the list price" in client.get(f"{path}?lang=en").text


def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(client, provider, run):
    sign_in(client, make_member(provider, "owner"))

    answer = client.post(
        f"/runs/{run.public_id}/prices/new?lang=en",
        data=filled(percent_off="", price="12.345", first_seats="ten", ends_on="tomorrow"),
    )
    assert answer.status_code == 422
    for sentence in ("Enter an amount in CNY, like 980.00.", "Enter a whole number.", "Enter a day, like 2026-05-31."):
        assert sentence in answer.text
    for typed in ("12.345", "ten", "tomorrow"):
        assert f'value="{typed}"' in answer.text

    dear = client.post(f"/runs/{run.public_id}/prices/new?lang=en", data=filled(percent_off="", price="1280"))
    assert "The price of a rule is lower than the list price." in dear.text


@pytest.mark.parametrize("role", ["finance", "registrar", "owner"])
def test_the_leading_provider_answers_for_money(client, provider, run, role):
    sign_in(client, make_member(provider, role))

    assert client.get(f"/runs/{run.public_id}/prices").status_code == 200


@pytest.mark.parametrize(("role", "status"), [("editor", 403), ("instructor", 403)])
def test_other_roles_at_home_may_not(client, provider, run, role, status):
    sign_in(client, make_member(provider, role))

    assert client.get(f"/runs/{run.public_id}/prices").status_code == status


def test_for_others_the_prices_do_not_exist(client, run):
    rule = pricing.add_rule(run.id, early(), actor_id=None, now=clock.now())
    paths = ["", "/new", f"/{rule.public_id}"]
    for someone in (make_person(), make_member(make_organisation(), "owner"), make_staff("analyst")):
        sign_in(client, someone)
        assert [client.get(f"/runs/{run.public_id}/prices{path}").status_code for path in paths] == [404, 404, 404]
        assert client.post(f"/runs/{run.public_id}/prices/{rule.public_id}/end").status_code == 404
    assert pricing.list_in_force([run.id]) == [rule]


def test_a_rule_is_reached_through_its_own_run_alone(client, provider, run):
    sign_in(client, make_member(provider, "finance"))
    foreign = pricing.add_rule(make_run().id, early(), actor_id=None, now=clock.now())

    assert client.get(f"/runs/{run.public_id}/prices/{foreign.public_id}").status_code == 404
    assert client.post(f"/runs/{run.public_id}/prices/{foreign.public_id}/end").status_code == 404


def test_finance_staff_see_who_would_pay_what_on_a_day(client, run):
    museum = make_organisation(name_en="Riverside Museum")
    pricing.add_rule(run.id, early(days=5), actor_id=None, now=clock.now())
    third = Rule(rule_id=0, kind=RuleKind.COLLEAGUES, currency="CNY", percent_off=50, colleagues_from=3)
    pricing.add_rule(run.id, third, actor_id=None, now=clock.now())
    members = Rule(rule_id=0, kind=RuleKind.MEMBERS, currency="CNY", price=100000, organisation_id=museum.id)
    pricing.add_rule(run.id, members, actor_id=None, now=clock.now())
    sign_in(client, make_staff("finance_officer"))

    today = client.get(f"/runs/{run.public_id}/prices?lang=en").text
    late = (clock.now() + timedelta(days=10)).date().isoformat()
    later = client.get(f"/runs/{run.public_id}/prices?lang=en&on={late}").text

    def amounts(page):
        return [page.count(text) for text in ("A person of Riverside Museum", "CN¥1,024.00", "CN¥640.00")]

    assert amounts(today) == [1, 1, 1]
    assert amounts(later) == [1, 0, 1]
    assert "CN¥1,000.00" in later


def test_cards_and_the_course_show_what_anyone_pays_now(client, run):
    pricing.add_rule(run.id, early(), actor_id=None, now=clock.now())
    with transaction():
        search.index_course(run.course, now=clock.now())

    for path in ("/?lang=en", f"/courses/{run.course.public_id}?lang=en"):
        page = client.get(path).text
        assert "CN¥1,024.00" in page
        assert "<del>CN¥1,280.00</del>" in page
    assert "This is the price that applies." in page
    assert '"price": "1024.00"' in page
    assert pricing.public_prices([run], now=clock.now())[run.id].amount == Money(102400, "CNY")
