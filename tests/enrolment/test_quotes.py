from __future__ import annotations

from marketplace.enrolment import quotes
from marketplace.enrolment.quotes import Quote, Reason
from marketplace.foundation import clock
from marketplace.foundation.money import Money
from tests.factories import make_course, make_member, make_organisation, make_run

PRICE, NOTHING_OFF = Money(128000, "CNY"), Money(0, "CNY")


def test_where_nothing_applies_the_list_price_is_due(app):
    run = make_run(price_minor=PRICE.minor)

    quoted = quotes.quote(quotes.sale_of(run, None), now=clock.now())

    assert quoted == Quote(PRICE, PRICE, NOTHING_OFF, NOTHING_OFF, PRICE, (Reason("list_price", PRICE),))
    assert quoted.frozen == {"version": 2, "list_price_minor": 128000, "explanation": [["list_price", {}, 128000]]}


def test_the_facts_of_a_buyer(app):
    employer = make_organisation(kind="employer")
    person = make_member(employer, "registrar", email="li@film.example", region="310000")

    facts = quotes.buyer_of(person.id)

    assert (facts.email_domain, facts.organisation_ids) == ("film.example", {employer.id})
    assert (facts.region, facts.occupation, facts.has_enrolled_before) == ("310000", None, False)


def test_the_facts_of_a_seat_are_days_of_its_own_zone(app):
    provider = make_organisation()
    run = make_run(make_course(provider), zone="America/Los_Angeles")

    facts = quotes.offer_of(run.id)

    assert (facts.provider_ids, facts.provider_kinds) == ({provider.id}, {"university"})
    assert facts.starts_on == run.starts_at.astimezone(run.tzinfo).date()
