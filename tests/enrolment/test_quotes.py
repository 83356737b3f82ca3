from __future__ import annotations

import psycopg

from marketplace.enrolment import quotes
from marketplace.enrolment.quotes import Asked, Quote, Reason
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.funding import voucher_batches
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_rules import Terms, ValueKind
from tests.buying import place_order
from tests.factories import make_course, make_member, make_organisation, make_person, make_run
from tests.funding.made import make_programme

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


def test_two_payers_decide_from_facts_that_are_read_once(app, monkeypatch):
    run, person = make_run(price_minor=PRICE.minor), make_person()
    programme = make_programme(rule=Rule(percent=50))
    terms = Terms(ValueKind.AMOUNT, "CNY", amount=10000, use_cap=1, money_cap=10000)
    [voucher] = voucher_batches.list_vouchers(
        voucher_batches.issue(NewBatch("Spring", terms), actor_id=None, now=clock.now()).id
    )
    asked = Asked(voucher_code=voucher_batches.code_of(voucher), programme=programme.public_id)
    sale = quotes.sale_of(run, person.id)
    db.session.expunge_all()
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def note(cursor, statement, *values, **options):
        sent.append(statement)
        return execute(cursor, statement, *values, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", note)
    quoted = quotes.quote(sale, asked, now=clock.now())

    assert (quoted.subsidy.minor, quoted.voucher.minor, quoted.due.minor) == (64000, 10000, 54000)
    # The buyer; the run and its course; the programme and its rule; the code, its terms and how often they used it.
    assert len(sent) == 4, "\n\n".join(sent)


def test_a_run_that_its_provider_cancelled_was_no_first_course(app):
    person, run = make_person(), make_run(price_minor=0)
    now = clock.now()
    place_order(run.id, person.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)
    assert quotes.buyer_of(person.id).has_enrolled_before

    run.state = "cancelled"
    db.session.flush()
    assert not quotes.buyer_of(person.id).has_enrolled_before
