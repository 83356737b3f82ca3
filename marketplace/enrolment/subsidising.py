"""Where orders ask funding programmes to pay: what a quote takes into account, what a page tells before anyone presses.

A programme pays a part of the price after pricing rules. The quote decides without a lock; `reserve` decides again
under the programme's lock in the order's transaction, and refuses what would differ from the quote.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.foundation.database import is_in_transaction
from marketplace.foundation.i18n import lazy
from marketplace.funding import estimates, programmes, subsidies, subsidy_names
from marketplace.funding.estimates import Estimate
from marketplace.funding.subsidies import Ask, SubsidyRefused
from marketplace.funding.subsidy_rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from marketplace.foundation.money import Money
    from marketplace.funding.facts import Buyer, Offer

# What an address or a form says instead of a programme: the buyer pays everything.
NOBODY = "none"


@dataclass(frozen=True)
class Part:
    """What a programme pays of one seat, with the facts it was decided from: kept in the quote until it is reserved."""

    estimate: Estimate
    buyer: Buyer
    offer: Offer
    price: Money

    @property
    def amount(self) -> Money:
        """What it pays."""
        return self.estimate.amount


@dataclass(frozen=True)
class Agreed:
    """What the buyer agreed to on the page: the programme's rule of this version, and that the facts are passed on."""

    version: int
    is_given: bool


@dataclass(frozen=True)
class Choices:
    """What a buyer can choose from on the page of a seat: the programmes that pay, and those that do not (yet)."""

    granted: list[Estimate]
    others: list[Estimate]
    chosen: Estimate | None

    @property
    def is_empty(self) -> bool:
        """Whether no programme has anything to do with this seat."""
        return not self.granted and not self.others


def part_of(programme: str, buyer: Buyer, offer: Offer, price: Money, *, now: datetime) -> Part | None:
    """What the programme of this public id pays of the price; None for one that is not there.

    A programme that pays nothing is a Part of nothing, so that the attempt can be kept (`refusal_of`).
    """
    version = programmes.find_in_force(programme)
    if version is None:
        return None
    return Part(estimates.estimate_one(version, buyer, offer, price, now=now), buyer, offer, price)


def refusal_of(part: Part) -> SubsidyRefused:
    """Why a programme that was asked does not pay."""
    message = lazy("The funding programme does not pay for this seat. Nothing was ordered.")
    ask = ask_of(part, None)
    return SubsidyRefused("subsidy_refused", message, ask, part.estimate.version, part.estimate.decision)


@contextmanager
def refusals_kept(*, now: datetime) -> Iterator[None]:
    """Around the transaction of an order: when a programme's refusal undid it, the attempt is kept in another one."""
    try:
        yield
    except SubsidyRefused as refusal:
        # Inside a larger use case that fails as a whole there is nothing to keep it in.
        if not is_in_transaction():
            subsidies.keep_refusal(refusal, now=now)
        raise


def ask_of(part: Part, agreed: Agreed | None) -> Ask:
    """What the programme is asked for, by what the buyer saw and agreed to."""
    version = part.estimate.version
    return Ask(
        programme_id=version.programme_id,
        version=agreed.version if agreed else version.version,
        buyer=part.buyer,
        offer=part.offer,
        price=part.price,
        shown=part.amount,
        consent=subsidy_names.consent(version) if agreed and agreed.is_given else None,
    )


def choices(wanted: str | None, buyer: Buyer, offer: Offer, price: Money, *, now: datetime) -> Choices:
    """What the open programmes say of a seat for this buyer; the best one is chosen unless `wanted` names another."""
    found = estimates.estimate(buyer, offer, price, now=now)
    granted = [one for one in found if one.decision.is_granted]
    others = [one for one in found if not one.decision.is_granted and _is_near(one)]
    by_id = {one.programme.public_id: one for one in granted}
    chosen = None if wanted == NOBODY else by_id.get(wanted or "", granted[0] if granted else None)
    return Choices(granted, others, chosen)


def for_visitors(seats: Sequence[tuple[Offer, Money]], *, now: datetime) -> list[Estimate | None]:
    """The best programme of each seat for someone who has not signed in, told as conditions; one query for all."""
    return [
        next(iter(estimates.promising(found)), None) for found in estimates.estimate_all(None, seats, now=now)
    ]  # fmt: skip


def _is_near(estimate: Estimate) -> bool:
    """Whether a programme that does not pay is worth explaining: it is about such a course, and not merely closed."""
    about_the_seat = {
        "applications",
        "run_dates",
        "skill",
        "category",
        "provider",
        "provider_kind",
        "mode",
        "completion",
        "currency",
    }
    failed = {reason.code for reason in estimate.decision.reasons if reason.verdict is Verdict.FAILED}
    return not failed & (about_the_seat | {"price"})
