"""What a seat costs one person, and why: list price → pricing rules → price; price = subsidy + voucher + due.

Every page that shows a price and `orders.place` ask `quote`, so that the price shown is the price charged. The
explanation is shown on the page and frozen in `OrderLine.price_rule`.

Where the payers plug in, in this order, each adding its `Reason`s:
1. pricing rules turn `Sale.list_price` into `price`;
2. a funding programme (`Asked.programme`) pays `subsidy`, a part of the price after pricing rules;
3. a voucher (`Asked.voucher_code`) pays of what is left, up to its value; `due` is the rest.
What a quote promises is taken in `claims.claim` when the order is placed, under the same lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, distinct, func, select
from sqlalchemy.orm import aliased

from marketplace.accounts.models import Membership
from marketplace.catalog import pricing, pricing_rules
from marketplace.catalog.models import CourseRun
from marketplace.catalog.pricing_rules import Price, PriceFacts
from marketplace.enrolment import course_facts, subsidising
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.subsidising import Choices
from marketplace.foundation.database import db, one_row
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.money import Money
from marketplace.funding import vouchers
from marketplace.funding.facts import Buyer, Offer
from marketplace.funding.vouchers import VoucherShare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

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
    # Whether they waive the right to withdraw for a run that starts inside its term; None when nobody asked them.
    waives: bool | None = None


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
    # What pricing rules need: the zone of their days, and whether there are any.
    zone: str = DEFAULT_ZONE
    has_price_rules: bool = False


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
    # Every pricing rule that was tried; None where the run has none.
    priced: Price | None = None
    # The code that pays `voucher`, to be redeemed with the order.
    voucher_share: VoucherShare | None = None

    @property
    def opened_pool(self) -> int | None:
        """The seat pool that the code opens to its holder, if it keeps one."""
        return self.voucher_share.seat_pool_id if self.voucher_share else None

    @property
    def frozen(self) -> dict[str, Any]:
        """The explanation as `OrderLine.price_rule` keeps it."""
        lines = [[reason.code, reason.params, reason.amount.minor] for reason in self.explanation]
        kept = {"version": RULE_VERSION, "list_price_minor": self.list_price.minor, "explanation": lines}
        return kept | ({"pricing": self.priced.recorded()} if self.priced else {})


class PriceChanged(Refused):
    """The price is not the one the person saw; `quote` is the one of now, to be shown before asking again."""

    def __init__(self, quoted: Quote) -> None:
        """Keep the present price for the page."""
        super().__init__("price_changed", lazy("The price has changed since you saw it. Please look at it again."))
        self.quote = quoted


def quote(sale: Sale, asked: Asked = NOTHING, *, now: datetime) -> Quote:
    """What this seat costs this buyer now. Raises Refused when a code or programme they asked for cannot be used.

    Costs no statement as long as nothing but the list price applies: hot runs are sold through here.
    """
    priced = _priced(sale, now=now)
    price = priced.amount if priced else sale.list_price
    facts = _Facts(sale.run_id, sale.person_id) if sale.person_id is not None else None
    subsidised = _subsidised(facts, asked, price, now=now)
    subsidy = subsidised.amount if subsidised else Money(0, price.currency)
    share = _voucher_share(facts, asked, price - subsidy, now=now)
    voucher = share.amount if share else Money(0, price.currency)
    return Quote(
        list_price=sale.list_price,
        price=price,
        subsidy=subsidy,
        voucher=voucher,
        due=price - subsidy - voucher,
        explanation=tuple(_reasons(sale, priced, subsidised, share)),
        subsidised=subsidised,
        priced=priced,
        voucher_share=share,
    )


def choices(sale: Sale, wanted: str | None, *, now: datetime) -> Choices:
    """What funding programmes offer this buyer for the seat; nothing where there is no price, or nobody asks."""
    if sale.person_id is None or sale.list_price.is_zero:
        return Choices([], [], None)
    price = quote(sale, now=now).price
    return subsidising.choices(wanted, buyer_of(sale.person_id), offer_of(sale.run_id), price, now=now)


def _subsidised(facts: _Facts | None, asked: Asked, price: Money, *, now: datetime) -> Part | None:
    """What the programme asked for pays of the price; raises SubsidyRefused for one that does not pay."""
    if asked.programme is None or facts is None:
        return None
    part = subsidising.part_of(asked.programme, facts.buyer, facts.offer, price, now=now)
    if part is None:
        raise Refused("programme_closed", lazy("This funding programme is not open."))
    if not part.estimate.decision.is_granted:
        raise subsidising.refusal_of(part)
    return part


def _priced(sale: Sale, *, now: datetime) -> Price | None:
    """The price by the run's rules, or None where it has none."""
    if not sale.has_price_rules or sale.list_price.is_zero:
        return None
    rules = pricing.rules_of(sale.run_id)
    is_asked_who = sale.person_id is not None and any(rule.is_personal for rule in rules)
    facts = PriceFacts(
        list_price=sale.list_price,
        today=now.astimezone(ZoneInfo(sale.zone)).date(),
        seats_taken=sale.seats_taken,
        is_known=sale.person_id is not None,
        colleagues=_colleagues(sale.run_id, sale.person_id) if is_asked_who and sale.person_id else {},
    )
    return pricing_rules.decide(rules, facts)


def _colleagues(run_id: int, person_id: int) -> dict[int, int]:
    """For each organisation of the person, how many others of its people are enrolled in the run; one statement."""
    mine, theirs = aliased(Membership), aliased(Membership)
    enrolled = and_(Enrolment.person_id == theirs.person_id, Enrolment.run_id == run_id, Enrolment.ended_at.is_(None))
    query = (
        select(mine.organisation_id, func.count(distinct(Enrolment.person_id)))
        .outerjoin(theirs, and_(theirs.organisation_id == mine.organisation_id, theirs.person_id != person_id))
        .outerjoin(Enrolment, enrolled)
        .where(mine.person_id == person_id)
        .group_by(mine.organisation_id)
    )
    return {organisation_id: count for organisation_id, count in db.session.execute(query)}  # noqa: C416 - rows


def _voucher_share(facts: _Facts | None, asked: Asked, to_pay: Money, *, now: datetime) -> VoucherShare | None:
    """What the code they sent would pay of what is left for them; raises VoucherRefused."""
    if not asked.voucher_code or facts is None:
        return None
    return vouchers.assess(asked.voucher_code, buyer=facts.buyer, offer=facts.offer, to_pay=to_pay, now=now)


def _reasons(sale: Sale, priced: Price | None, subsidised: Part | None, share: VoucherShare | None) -> Iterator[Reason]:
    """The lines of "why this price", in the order of the payers."""
    yield Reason("list_price", sale.list_price)
    if priced and priced.chosen:
        chosen = {"rule": priced.chosen.kind.value, "rule_id": priced.chosen.rule_id}
        yield Reason("price_rule", -priced.saved, chosen)
    if subsidised:
        version = subsidised.estimate.version
        programme = {"programme": version.programme.public_id, "version": version.version}
        yield Reason("subsidy", -subsidised.amount, programme)
    if share:
        seat = {"keeps_seat": True} if share.seat_pool_id else {}
        yield Reason("voucher", -share.amount, {"voucher": share.label} | seat)


def sale_of(run: CourseRun, person_id: int | None, *, expired_holds: int = 0) -> Sale:
    """The sale a page is about; holds that expired but are not swept yet take no seats."""
    return Sale(
        run_id=run.id,
        course_id=run.course_id,
        person_id=person_id,
        list_price=run.price,
        seats_taken=max(0, run.seats_taken - expired_holds),
        is_subsidised=run.is_subsidised,
        zone=run.zone,
        has_price_rules=run.has_price_rules,
    )


_BUYER = """
SELECT id, email, region, district, industry_code, occupation, employer_size, experience_band,
       ARRAY(SELECT organisation_id FROM membership WHERE membership.person_id = person.id),
       EXISTS (SELECT FROM enrolment JOIN course_run ON course_run.id = run_id
                WHERE enrolment.person_id = person.id AND course_run.state <> 'cancelled')
  FROM person WHERE id = %(person)s
"""


def buyer_of(person_id: int) -> Buyer:
    """The facts of a buyer that rules and programmes decide from; one statement, so ask only when something does."""
    row = one_row(_BUYER, {"person": person_id})
    if row is None:
        raise NotFound
    _id, email, region, district, industry_code, occupation, employer_size, experience_band, members_of, enrolled = row
    return Buyer(
        person_id=person_id,
        email_domain=email.rpartition("@")[2],
        organisation_ids=frozenset(members_of),
        region=region,
        district=district,
        industry_code=industry_code,
        occupation=occupation,
        employer_size=employer_size,
        experience_band=experience_band,
        has_enrolled_before=enrolled,
    )


def offer_of(run_id: int) -> Offer:
    """The facts of what is bought; one statement, so ask only when something decides from them."""
    return course_facts.seat_of(run_id)


class _Facts:
    """The facts of one sale, asked for when the first payer decides from them, and once for all of them."""

    def __init__(self, run_id: int, person_id: int) -> None:
        self._run_id, self._person_id = run_id, person_id

    @cached_property
    def buyer(self) -> Buyer:
        return buyer_of(self._person_id)

    @cached_property
    def offer(self) -> Offer:
        return offer_of(self._run_id)
