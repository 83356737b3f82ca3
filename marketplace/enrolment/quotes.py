"""What a seat costs one person, and why: list price → pricing rules → price; price = subsidy + voucher + due.

Every page that shows a price and `orders.place_order` ask `quote`, so that the price shown is the price charged. The
explanation is shown on the page and frozen in `OrderLine.price_rule`.

Where the payers plug in, in this order, each adding its `Reason`s:
1. pricing rules turn `Sale.list_price` into `price`;
2. a funding programme (`Asked.programme`) pays `subsidy`, a part of the price after pricing rules;
3. a voucher (`Asked.voucher_code`) pays of what is left, up to its value; `due` is the rest.
What a quote promises is taken in `claims.claim` when the order is placed, under the same lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.accounts.models import Membership, Organisation, Person
from marketplace.catalog.models import Course, CourseProvider, CourseRun, CourseSkill
from marketplace.enrolment import subsidising
from marketplace.enrolment.models import Enrolment
from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.funding.facts import Buyer, Offer

if TYPE_CHECKING:
    from datetime import date, datetime

    from marketplace.enrolment.subsidising import Agreed, Part

RULE_VERSION = 2


@dataclass(frozen=True)
class Asked:
    """What the buyer asks for beside the seat, by the codes and public ids they sent.

    `seat_code` opens a seat pool, from the link that invited them.
    `shown_due` is what they saw that they would pay themselves; None when they saw nobody else paying.
    """

    voucher_code: str | None = None
    programme: str | None = None
    agreed: Agreed | None = None
    seat_code: str | None = None
    shown_due: Money | None = None


NOTHING = Asked()


@dataclass(frozen=True)
class Sale:
    """The seat that is sold and to whom; `person_id` is None for a visitor who has not signed in.

    `seats_taken` is of the moment the run was read: under its lock when the order is placed.
    """

    run_id: int
    course_id: int
    person_id: int | None
    list_price: Money
    seats_taken: int
    is_subsidised: bool


@dataclass(frozen=True)
class Reason:
    """One line of "why this price": a code the page has a sentence for, what it names, what it adds or takes off."""

    code: str
    amount: Money
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Quote:
    """A price and who pays it: price = subsidy + voucher + due, all in one currency."""

    list_price: Money
    price: Money
    subsidy: Money
    voucher: Money
    due: Money
    explanation: tuple[Reason, ...]
    # What the programme asked for pays, and from which facts: reserved when the order is placed.
    subsidised: Part | None = None

    @property
    def frozen(self) -> dict[str, Any]:
        """The explanation as `OrderLine.price_rule` keeps it."""
        lines = [[reason.code, reason.params, reason.amount.minor] for reason in self.explanation]
        return {"version": RULE_VERSION, "list_price_minor": self.list_price.minor, "explanation": lines}


def quote(sale: Sale, asked: Asked = NOTHING, *, now: datetime) -> Quote:
    """What this seat costs this buyer now. Raises Refused when a code or programme they asked for cannot be used.

    Costs no statement as long as nothing but the list price applies: hot runs are sold through here.
    """
    price = sale.list_price
    subsidised = _subsidised(sale, asked, price, now=now)
    subsidy = subsidised.amount if subsidised else Money(0, price.currency)
    voucher = Money(0, price.currency)
    return Quote(
        list_price=sale.list_price,
        price=price,
        subsidy=subsidy,
        voucher=voucher,
        due=price - subsidy - voucher,
        explanation=(Reason("list_price", sale.list_price), *_told(subsidised)),
        subsidised=subsidised,
    )


def _subsidised(sale: Sale, asked: Asked, price: Money, *, now: datetime) -> Part | None:
    """What the programme asked for pays of the price; raises SubsidyRefused for one that does not pay."""
    if asked.programme is None or sale.person_id is None:
        return None
    part = subsidising.part_of(asked.programme, buyer_of(sale.person_id), offer_of(sale.run_id), price, now=now)
    if part is None:
        raise Refused("programme_closed", lazy("This funding programme is not open."))
    if not part.estimate.decision.is_granted:
        raise subsidising.refusal_of(part)
    return part


def _told(part: Part | None) -> tuple[Reason, ...]:
    if part is None:
        return ()
    version = part.estimate.version
    params = {"programme": version.programme.public_id, "version": version.version}
    return (Reason("subsidy", -part.amount, params),)


def sale_of(run: CourseRun, person_id: int | None) -> Sale:
    """The sale a page is about."""
    return Sale(
        run_id=run.id,
        course_id=run.course_id,
        person_id=person_id,
        list_price=run.price,
        seats_taken=run.seats_taken,
        is_subsidised=run.is_subsidised,
    )


def buyer_of(person_id: int) -> Buyer:
    """The facts of a buyer that rules and programmes decide from; three statements, so ask only when something does."""
    person = db.session.get_one(Person, person_id)
    organisations = select(Membership.organisation_id).where(Membership.person_id == person_id)
    earlier = select(Enrolment.id).where(Enrolment.person_id == person_id).limit(1)
    return Buyer(
        person_id=person_id,
        email_domain=person.email.rpartition("@")[2],
        organisation_ids=frozenset(db.session.scalars(organisations)),
        region=person.region,
        district=person.district,
        industry_code=person.industry_code,
        occupation=person.occupation,
        employer_size=person.employer_size,
        experience_band=person.experience_band,
        has_enrolled_before=db.session.scalar(earlier) is not None,
    )


def offer_of(run_id: int) -> Offer:
    """The facts of what is bought; three statements, so ask only when something decides from them."""
    run = db.session.get_one(CourseRun, run_id)
    course = db.session.get_one(Course, run.course_id)
    providers = db.session.execute(
        select(Organisation.id, Organisation.kind)
        .join(CourseProvider, CourseProvider.organisation_id == Organisation.id)
        .where(CourseProvider.course_id == run.course_id)
    ).all()
    skills = select(CourseSkill.skill_id).where(
        CourseSkill.course_id == run.course_id, CourseSkill.skill_id.is_not(None)
    )
    return Offer(
        run_id=run_id,
        course_id=run.course_id,
        category_id=course.category_id,
        provider_ids=frozenset(provider.id for provider in providers),
        provider_kinds=frozenset(provider.kind for provider in providers),
        skill_ids=frozenset(skill for skill in db.session.scalars(skills) if skill is not None),
        starts_on=_day(run.starts_at, run),
        ends_on=_day(run.ends_at, run),
        mode=run.mode,
    )


def _day(moment: datetime | None, run: CourseRun) -> date | None:
    return None if moment is None else moment.astimezone(run.tzinfo).date()
