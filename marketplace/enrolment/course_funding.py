"""What the page of a course tells of funding: an estimate for visitors, the net price for who has signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.accounts.permissions import current_person
from marketplace.catalog.models import Course
from marketplace.enrolment import course_facts, quotes
from marketplace.foundation import clock
from marketplace.foundation.keeping import Shelf
from marketplace.funding import estimates, programmes, subsidy_names
from marketplace.funding.subsidy_rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from marketplace.catalog.course_pages import RunFacts
    from marketplace.catalog.pricing_rules import Price
    from marketplace.foundation.money import Money
    from marketplace.funding.estimates import Estimate

# Told in one breath; the programme's page has all of them.
MOST_CONDITIONS = 3
# So long pages of visitors may tell of a programme that was closed, paused or given another rule.
KEPT_SECONDS = 5
_open_now = Shelf(KEPT_SECONDS, largest=1)


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
    [course] = course_facts.facts_of(Course.public_id == course_public_id).values()
    seats = [
        (course_facts.seat_in(course, run), prices[run.id].amount if run.id in prices else run.price) for run in sold
    ]
    found = estimates.estimate_all(buyer, seats, now=now, versions=versions)
    told = {}
    for run, (_seat, price), options in zip(sold, seats, found, strict=True):
        best = next(iter(estimates.promising(options)), None)
        if best is not None:
            told[run.id] = Note(best, price - best.amount, best.decision.is_granted, _conditions(best))
    return told


def open_now() -> Hashable:
    """Which rules decide now, for which days, at most KEPT_SECONDS old: pages kept for visitors differ by it."""
    found: Hashable | None = _open_now.find("open")
    if found is None:
        found = tuple((version.id, version.programme.frame) for version in programmes.list_open(now=clock.now()))
        _open_now.put("open", found)
    return found


def _conditions(estimate: Estimate) -> str:
    """What is still asked about the buyer, in a row."""
    open_ones = [one for one in estimate.decision.reasons if one.verdict in {Verdict.ASKED, Verdict.MISSING}]
    rule, currency = estimate.version.rule, estimate.programme.currency
    return subsidy_names.clauses(
        [subsidy_names.condition(one, rule, currency) for one in open_ones[:MOST_CONDITIONS]]
    )  # fmt: skip
