"""What programmes would pay of a seat: asked by pages and quotes, without locks. `subsidies.reserve` decides again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from marketplace.foundation.database import db
from marketplace.funding import programmes, subsidy_rules
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Decision, Left, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.foundation.money import Money
    from marketplace.funding.facts import Buyer, Offer
    from marketplace.funding.programme_models import FundingProgramme, FundingRule


@dataclass(frozen=True)
class Estimate:
    """What one programme says of a seat, by the version in force."""

    version: FundingRule
    decision: Decision

    @property
    def programme(self) -> FundingProgramme:
        """The programme that would pay."""
        return self.version.programme

    @property
    def amount(self) -> Money:
        """What it pays, or would pay if its conditions were met."""
        return self.decision.amount


def estimate(buyer: Buyer | None, offer: Offer, price: Money, *, now: datetime) -> list[Estimate]:
    """What each open programme says of a seat at `price`, the best first; without a buyer, as conditions."""
    return estimate_all(buyer, [(offer, price)], now=now)[0]


def estimate_all(
    buyer: Buyer | None,
    seats: Sequence[tuple[Offer, Money]],
    *,
    now: datetime,
    versions: Sequence[FundingRule] | None = None,
) -> list[list[Estimate]]:  # fmt: skip
    """The same for several seats with the queries of one; `versions` are the rules in force, if known already."""
    versions = programmes.list_open(now=now) if versions is None else versions
    had = [_left(version, buyer, now=now) for version in versions]
    return [
        sorted(
            (
                Estimate(version, decide(version, buyer, offer, price, left=left, now=now))
                for version, left in zip(versions, had, strict=True)
            ),
            key=_rank,
        )
        for offer, price in seats
    ]


def estimate_one(
    version: FundingRule, buyer: Buyer, offer: Offer, price: Money, *, now: datetime
) -> Estimate:  # fmt: skip
    """What one version says of a seat for this buyer."""
    left = _left(version, buyer, now=now)
    return Estimate(version, decide(version, buyer, offer, price, left=left, now=now))


def promising(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Those worth showing to a buyer: granted, told as conditions, or waiting for a fact; refused ones are left out."""
    return [one for one in estimates if one.decision.verdict is not Verdict.FAILED]


def decide(
    version: FundingRule, buyer: Buyer | None, offer: Offer, price: Money, *, left: Left, now: datetime
) -> Decision:  # fmt: skip
    """What a version of a rule says, on this day in its programme's zone."""
    programme = version.programme
    return subsidy_rules.decide(
        version.rule,
        programme.frame,
        buyer,
        offer,
        price,
        left=left,
        day=subsidy_rules.day_of(now, programme.zone),
    )


def left_for(programme: FundingProgramme, person_id: int, *, now: datetime) -> Left:
    """What a programme can still give to a person: exact while its row is locked.

    A year is a calendar year of the programme's zone; what lapsed, was let go or was rejected does not count.
    """
    first, end = subsidy_rules.year_of(now, programme.zone)
    this_year = (Subsidy.applied_at >= first) & (Subsidy.applied_at < end)
    query = select(func.coalesce(func.sum(Subsidy.committed_minor).filter(this_year), 0), func.count()).where(
        Subsidy.person_id == person_id, Subsidy.programme_id == programme.id, Subsidy.committed_minor > 0
    )
    had, lines = db.session.execute(query).one()
    return Left(programme.left.minor, int(had), lines)


def _left(version: FundingRule, buyer: Buyer | None, *, now: datetime) -> Left:
    programme, content = version.programme, version.content
    if buyer is None or not (content.get("person_year_cap_minor") or content.get("first_time_only")):
        return Left(programme.left.minor)
    return left_for(programme, buyer.person_id, now=now)


def _rank(estimate: Estimate) -> tuple[int, int, int]:
    """Granted before asked before missing before failed; among them the larger amount, then the older programme."""
    return list(Verdict).index(estimate.decision.verdict), -estimate.amount.minor, estimate.programme.id
