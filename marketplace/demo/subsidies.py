"""The demo's funding: two programmes, and who asked them to pay, decided by the rules the verbs decide by."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.accounts.models import Person
from marketplace.catalog.models import CourseProvider, CourseSkill
from marketplace.demo import content_files
from marketplace.demo.chance import public_id, seeded
from marketplace.demo.rows import insert_rows
from marketplace.foundation.database import add, db
from marketplace.foundation.money import Money
from marketplace.funding import facts, kept_rules, subsidy_rules
from marketplace.funding.facts import Buyer, Offer
from marketplace.funding.programme_models import FundingDeposit, FundingProgramme, FundingRule, ProgrammeEvent
from marketplace.funding.subsidy_models import SubsidyAttempt
from marketplace.funding.subsidy_rules import Decision, Left

if TYPE_CHECKING:
    from random import Random

    from marketplace.demo.history import Purchase

PLENTY = Left(10**12)
LINES_PER_PERSON = 2
REFUSED = 14
# So many complained long after their run and were given everything back.
COMPLAINTS = 3
COMPLAINED_AGO, PAID_FOR_CERTAIN = timedelta(days=9), timedelta(days=190)


@dataclass(frozen=True)
class Grant:
    """One purchase that a programme pays a part of, with the facts and the decision."""

    version: FundingRule
    buyer: Buyer
    offer: Offer
    decision: Decision
    price: Money


def plan(purchases: list[Purchase], *, now: datetime) -> tuple[list[Purchase], dict[str, Grant]]:
    """Make the programmes, choose who asks them, and take their part off the purchases; grants by order number."""
    chance, versions = seeded("subsidies"), _programmes(now)
    people = {person.id: person for person in db.session.scalars(select(Person))}
    offers = _offers(purchases)
    seen: set[int] = set()
    lines: Counter[int] = Counter()
    changed: list[Purchase] = []
    grants: dict[str, Grant] = {}
    refused: list[dict[str, Any]] = []
    late = 0
    for purchase in purchases:
        buyer = _buyer(people[purchase.person_id], has_enrolled_before=purchase.person_id in seen)
        if purchase.outcome == "confirmed":
            seen.add(purchase.person_id)
        grant = _choose(purchase, buyer, offers[purchase.run.run.id], versions, chance)
        is_learner = people[purchase.person_id].password is not None
        if grant and grant.decision.is_granted and lines[purchase.person_id] < LINES_PER_PERSON and not is_learner:
            lines[purchase.person_id] += 1
            grants[purchase.numbers["order"]] = grant
            funded = replace(purchase, subsidy_minor=grant.decision.amount.minor)
            changed.append(_complained(funded, now) if late < COMPLAINTS and _may_complain(funded, now) else funded)
            late += changed[-1].outcome != funded.outcome
            continue
        if (
            grant
            and not grant.decision.is_granted
            and len(refused) < REFUSED
            and purchase.placed_at > now - timedelta(200)
        ):
            refused.append(attempt_row(grant, purchase.placed_at, None))
        changed.append(purchase)
    insert_rows(SubsidyAttempt, refused)
    return changed, grants


def _may_complain(purchase: Purchase, now: datetime) -> bool:
    """Whether the funder has paid for this place for certain, if its learner earned it."""
    return purchase.outcome == "confirmed" and purchase.run.plan.ends_at < now - PAID_FOR_CERTAIN


def _complained(purchase: Purchase, now: datetime) -> Purchase:
    """Everything goes back long after the run: the funder claws back what it paid."""
    return replace(purchase, outcome="refunded", ended_at=now - COMPLAINED_AGO)


def _programmes(now: datetime) -> list[tuple[FundingRule, float]]:
    made, chance = [], seeded("programmes")
    for row in content_files.read("funding")["programme"]:
        first, last = (now.date() + timedelta(days=days) for days in row["applications"])
        begun = now + timedelta(days=row["applications"][0] - 10)
        programme = FundingProgramme(
            public_id=public_id(chance),
            applications_from=first,
            applications_until=last,
            deposited_minor=sum(minor for _days, minor, _reference in row["deposits"]),
            created_at=begun,
            **{f"{name}_{lang}": row[name][lang] for name in ("name", "funder", "terms") for lang in ("zh", "en")},
        )
        add(programme)
        deposits = [
            {"programme_id": programme.id, "amount_minor": minor, "reference": reference, "note": "",
             "recorded_at": now + timedelta(days=days), "recorded_by_id": None}
            for days, minor, reference in row["deposits"]
        ]  # fmt: skip
        insert_rows(FundingDeposit, deposits)
        kept = kept_rules.as_json(kept_rules.from_json(row["rule"]))
        version = FundingRule(programme=programme, version=1, content=kept, created_at=begun, published_at=begun)
        add(version)
        events = [
            ("created", begun),
            ("rule_published", begun),
            *(("deposited", one["recorded_at"]) for one in deposits),
        ]
        insert_rows(
            ProgrammeEvent,
            [
                {"programme_id": programme.id, "kind": kind, "occurred_at": moment, "actor_id": None, "details": {}}
                for kind, moment in events
            ],
        )
        made.append((version, row["chance"]))
    return made


def _choose(
    purchase: Purchase, buyer: Buyer, offer: Offer, versions: list[tuple[FundingRule, float]], chance: Random
) -> Grant | None:
    """The programme this buyer asks, if any: the first that pays, or one that refuses."""
    asked = None
    for version, share in versions:
        is_asked = chance.random() < share
        programme = version.programme
        day = subsidy_rules.day_of(purchase.placed_at, programme.zone)
        if not is_asked or not subsidy_rules.is_open(programme.frame, day) or not purchase.run.plan.price_minor:
            continue
        price = Money(purchase.run.plan.price_minor, "CNY")
        decision = subsidy_rules.decide(version.rule, programme.frame, buyer, offer, price, left=PLENTY, day=day)
        if decision.is_granted:
            return Grant(version, buyer, offer, decision, price)
        asked = Grant(version, buyer, offer, decision, price)
    return asked


def attempt_row(grant: Grant, moment: datetime, line_id: int | None) -> dict[str, Any]:
    """An attempt as it is kept, refused without a line."""
    return {
        "programme_id": grant.version.programme_id,
        "rule_id": grant.version.id,
        "person_id": grant.buyer.person_id,
        "order_line_id": line_id,
        "outcome": "accepted" if line_id else "refused",
        "refusal": "" if line_id else "subsidy_refused",
        "price_minor": grant.price.minor,
        "amount_minor": grant.decision.amount.minor,
        "currency": "CNY",
        "buyer": facts.recorded(grant.buyer),
        "offer": facts.recorded(grant.offer),
        "reasons": [asdict(reason) for reason in grant.decision.reasons],
        "attempted_at": moment,
    }


def _buyer(person: Person, *, has_enrolled_before: bool) -> Buyer:
    return Buyer(
        person_id=person.id,
        email_domain=person.email.rpartition("@")[2],
        organisation_ids=frozenset(),
        region=person.region,
        district=person.district,
        industry_code=person.industry_code,
        occupation=person.occupation,
        employer_size=person.employer_size,
        experience_band=person.experience_band,
        has_enrolled_before=has_enrolled_before,
    )


def _offers(purchases: list[Purchase]) -> dict[int, Offer]:
    """The facts of each run of the demo, with the queries of one."""
    skills: dict[int, set[int]] = defaultdict(set)
    for course_id, skill_id in db.session.execute(select(CourseSkill.course_id, CourseSkill.skill_id)):
        skills[course_id].add(skill_id or 0)
    kinds = {one.organisation_id: one.organisation.kind for one in db.session.scalars(select(CourseProvider))}
    found = {}
    for loaded in {purchase.run.run.id: purchase.run for purchase in purchases}.values():
        run, zone = loaded.run, loaded.run.tzinfo
        found[run.id] = Offer(
            run_id=run.id,
            course_id=run.course_id,
            category_id=run.course.category_id,
            provider_ids=frozenset(loaded.provider_ids),
            provider_kinds=frozenset(kinds[number] for number in loaded.provider_ids),
            skill_ids=frozenset(skills[run.course_id]),
            starts_on=loaded.plan.starts_at.astimezone(zone).date(),
            ends_on=loaded.plan.ends_at.astimezone(zone).date(),
            mode=run.mode,
        )
    return found
