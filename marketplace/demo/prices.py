"""Price rules of runs that can be booked, and vouchers to try: their codes are the words of a demo, known to all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.accounts.models import Person
from marketplace.catalog import pricing
from marketplace.catalog.pricing_rules import Rule, RuleKind
from marketplace.demo.chance import seeded
from marketplace.demo.population import DOMAIN
from marketplace.foundation.database import db
from marketplace.funding import voucher_batches
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_rules import Terms, ValueKind

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.accounts.models import Organisation
    from marketplace.demo.offer import LoadedRun

# Every third run that can be booked has an early-bird price, some of them more.
EARLY_EVERY, MORE_EVERY = 3, 6
WORD = "CULTURE2026"


def write_prices(runs: list[LoadedRun], organisations: dict[str, Organisation], *, now: datetime) -> None:
    """Write rules through the verbs that staff use. Call inside a transaction."""
    chance = seeded("prices")
    bookable = [loaded.run for loaded in runs if loaded.run.price_minor and loaded.is_open(now)]
    employer = next(one for one in organisations.values() if one.kind == "employer")
    for number, run in enumerate(bookable):
        if number % EARLY_EVERY:
            continue
        last = (now + timedelta(days=chance.randint(4, 12))).astimezone(run.tzinfo).date()
        early = Rule(0, RuleKind.EARLY_BIRD, run.currency, percent_off=chance.choice((10, 15, 20)), ends_on=last)
        pricing.add_rule(run.id, early, actor_id=None, now=now)
        if number % MORE_EVERY:
            continue
        third = Rule(0, RuleKind.COLLEAGUES, run.currency, percent_off=25, colleagues_from=3)
        pricing.add_rule(run.id, third, actor_id=None, now=now)
        members = Rule(0, RuleKind.MEMBERS, run.currency, percent_off=30, organisation_id=employer.id)
        pricing.add_rule(run.id, members, actor_id=None, now=now)


def write_vouchers(organisations: dict[str, Organisation], *, now: datetime) -> None:
    """Issue a campaign's word and a sponsor's batch of single-use codes. Call inside a transaction."""
    actor_id = db.session.scalars(select(Person.id).where(Person.email == f"administrator@{DOMAIN}")).one()
    today = now.date()
    campaign = Terms(
        ValueKind.AMOUNT,
        "CNY",
        amount=20000,
        use_cap=200,
        money_cap=4000000,
        starts_on=today - timedelta(days=14),
        ends_on=today + timedelta(days=60),
    )
    wanted = NewBatch("城市文化创意季 · City culture season", campaign, word=WORD, is_demo=True)
    voucher_batches.issue(wanted, actor_id=actor_id, now=now - timedelta(days=14))
    sponsor = next(one for one in organisations.values() if one.kind == "employer")
    single = Terms(ValueKind.FULL, "CNY", use_cap=1, money_cap=300000, ends_on=today + timedelta(days=90))
    seats = NewBatch("企业资助名额 · Sponsored seats", single, size=40, sponsor_id=sponsor.id, is_demo=True)
    voucher_batches.issue(seats, actor_id=actor_id, now=now - timedelta(days=7))
