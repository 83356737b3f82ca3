"""Programmes and purchases for the tests of funding; what a test is about, it says by keyword."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import count

from marketplace.accounts.models import Person
from marketplace.enrolment.models import Order, OrderLine
from marketplace.foundation import bank_days, clock, ids
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.money import Money
from marketplace.funding import programmes, subsidies
from marketplace.funding.claims import FunderPayment
from marketplace.funding.facts import Buyer, Consent, Offer
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidies import Ask, Line
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Rule
from tests.factories import make_person, make_run, make_staff

_numbers = count(1)
AGREED = Consent(1, "zh", "我同意将上述信息告知资助方。", ("regions",))


def funder_paid(minor: int, reference: str, *, now: datetime | None = None) -> FunderPayment:
    """A payment of a funder in yuan that came today."""
    return FunderPayment(Money(minor, "CNY"), reference, bank_days.day_of(now or clock.now()))


def make_programme(*, budget: int = 1_000_000, rule: Rule | None = None, **values: object) -> FundingProgramme:
    """A programme open for a month around now, with a budget and a published rule: half of the price, no conditions."""
    number, now = next(_numbers), clock.now()
    given = {
        "name_zh": f"第{number}号资助项目",
        "name_en": f"Programme {number}",
        "funder_zh": "区文旅局",
        "funder_en": "Bureau",
    }
    given |= {
        "applications_from": now.date() - timedelta(days=15),
        "applications_until": now.date() + timedelta(days=15),
    }
    currency = str(values.pop("currency", "CNY"))
    with transaction():
        officer = make_staff("funding_officer")
        made = programmes.create(given | values, currency=currency, actor_id=officer.id, now=now)
        if budget:
            programmes.deposit(
                made.id, Money(budget, currency), reference=f"grant {number}", actor_id=officer.id, now=now
            )
        programmes.write_draft(made.id, rule or Rule(percent=50), actor_id=officer.id, now=now)
        programmes.publish_draft(made.id, actor_id=officer.id, now=now)
    return made


def make_line(person: Person, *, price: int = 128000, subsidy: int = 0) -> Line:
    """An order line of this person in a run of its own, as `place_order` would have written it."""
    now = clock.now()
    with transaction():
        run = make_run(price_minor=price)
        due = price - subsidy
        order = add(
            Order(
                person_id=person.id,
                state="awaiting_payment",
                locale="zh",
                currency="CNY",
                total_minor=due,
                placed_at=now,
                request_key=ids.public_id(),
            )
        )
        line = add(
            OrderLine(
                order_id=order.id,
                run_id=run.id,
                price_minor=price,
                subsidy_minor=subsidy,
                due_minor=due,
                title_zh="课程",
                title_en="Course",
            )
        )
    return Line(line.id, order.public_id, "课程", "Course")


def buyer_of(person: Person, **values: object) -> Buyer:
    """What rules see of a person."""
    given = {
        "person_id": person.id,
        "email_domain": "example.com",
        "organisation_ids": frozenset(),
        "region": person.region,
        "industry_code": person.industry_code,
    }
    return Buyer(**(given | values))


def offer(**values: object) -> Offer:
    """A seat in a course of a university that starts in thirty days."""
    starts_on = (clock.now() + timedelta(days=30)).date()
    given = {
        "run_id": 1,
        "course_id": 1,
        "category_id": 7,
        "provider_ids": frozenset({3}),
        "provider_kinds": frozenset({"university"}),
        "skill_ids": frozenset({11, 12}),
        "starts_on": starts_on,
        "ends_on": starts_on + timedelta(days=7),
        "mode": "in_person",
    }
    return Offer(**(given | values))


def ask(
    programme: FundingProgramme, person: Person, *, price: int = 128000, shown: int = 64000, **values: object
) -> Ask:
    """Somebody asks for half of a price of CNY 1,280."""
    given = {"buyer": buyer_of(person), "offer": offer(), "consent": AGREED, "version": 1, "programme_id": programme.id}
    currency = programme.currency
    return Ask(price=Money(price, currency), shown=Money(shown, currency), **(given | values))


def make_subsidy(programme: FundingProgramme, person: Person | None = None, **values: object) -> Subsidy:
    """A subsidy reserved for a line of its own."""
    person = person or make_person()
    made = ask(programme, person, **values)
    line = make_line(person, price=made.price.minor, subsidy=made.shown.minor)
    return subsidies.reserve(made, line, now=clock.now())


def committed(programme: FundingProgramme) -> int:
    """What the programme's counter says, read anew."""
    return db.session.get_one(FundingProgramme, programme.id, populate_existing=True).committed_minor


def day(text: str) -> date:
    """A day as ISO 8601 writes it."""
    return date.fromisoformat(text)
