"""What the page of a course tells of funding: an estimate for visitors, the net price for who has signed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from marketplace.accounts.models import Organisation
from marketplace.accounts.permissions import current_person
from marketplace.catalog.models import Course, CourseProvider, CourseSkill
from marketplace.enrolment import quotes
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.funding import estimates, programmes, subsidy_names
from marketplace.funding.facts import Offer
from marketplace.funding.subsidy_rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from marketplace.catalog.course_pages import RunFacts
    from marketplace.catalog.pricing_rules import Price
    from marketplace.foundation.money import Money
    from marketplace.funding.estimates import Estimate

# Told in one breath; the programme's page has all of them.
MOST_CONDITIONS = 3


@dataclass(frozen=True)
class Note:
    """The best programme of one run: what is left to pay with it, and what it asks for."""

    estimate: Estimate
    net: Money
    is_personal: bool
    conditions: str


def notes(course_public_id: str, runs: Sequence[RunFacts], prices: Mapping[int, Price]) -> dict[int, Note]:
    """For each run that a programme may pay a part of: by the run's id. Two queries for a visitor, one without any."""
    now = clock.now()
    sold = [run for run in runs if not run.is_free and run.starts_at > now]
    versions = programmes.list_open(now=now) if sold else []
    if not versions:
        return {}
    someone = current_person()
    buyer = quotes.buyer_of(someone.id) if someone else None
    course = _course(course_public_id)
    seats = [(_offer(course, run), prices[run.id].amount if run.id in prices else run.price) for run in sold]
    found = estimates.estimate_all(buyer, seats, now=now, versions=versions)
    told = {}
    for run, (_seat, price), options in zip(sold, seats, found, strict=True):
        best = next(iter(estimates.promising(options)), None)
        if best is not None:
            told[run.id] = Note(best, price - best.amount, best.decision.is_granted, _conditions(best))
    return told


def _course(public_id: str) -> Offer:
    """What rules ask about a course, in one query, as the facts of a seat without a run."""
    kinds = select(CourseProvider.organisation_id, Organisation.kind).join(CourseProvider.organisation)
    providers = kinds.where(CourseProvider.course_id == Course.id).correlate(Course).subquery()
    skills = select(CourseSkill.skill_id).where(CourseSkill.course_id == Course.id, CourseSkill.skill_id.is_not(None))
    query = select(
        Course.id,
        Course.category_id,
        func.array(select(providers.c.organisation_id).scalar_subquery()),
        func.array(select(providers.c.kind).scalar_subquery()),
        func.array(skills.scalar_subquery()),
    ).where(Course.public_id == public_id)
    number, category_id, provider_ids, provider_kinds, skill_ids = db.session.execute(query).one()
    return Offer(
        run_id=0,
        course_id=number,
        category_id=category_id,
        provider_ids=frozenset(provider_ids),
        provider_kinds=frozenset(provider_kinds),
        skill_ids=frozenset(skill_ids),
        starts_on=None,
        ends_on=None,
        mode="",
    )


def _offer(course: Offer, run: RunFacts) -> Offer:
    zone = run.tzinfo
    return replace(
        course,
        run_id=run.id,
        starts_on=run.starts_at.astimezone(zone).date(),
        ends_on=run.ends_at.astimezone(zone).date(),
        mode=run.mode,
    )


def _conditions(estimate: Estimate) -> str:
    """What is still asked about the buyer, in a row."""
    open_ones = [one for one in estimate.decision.reasons if one.verdict in {Verdict.ASKED, Verdict.MISSING}]
    rule, currency = estimate.version.rule, estimate.programme.currency
    return subsidy_names.clauses(
        [subsidy_names.condition(one, rule, currency) for one in open_ones[:MOST_CONDITIONS]]
    )  # fmt: skip
