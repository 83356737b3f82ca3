"""What a seat costs before anyone else pays a part: the list price and the rules of its run, decided here alone.

Every rule is tried, and the cheapest of those that apply is the price. So the order of rules never makes a seat dearer
and adding a rule never does; their position only says which one is named when two are equally cheap. Nothing here
knows a session, a clock or a request: the day is the day in the run's zone, and its whole day belongs to a deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask_babel import LazyString

WHOLE = 100
FEWEST_COLLEAGUES = 2


class RuleKind(StrEnum):
    """What a rule rewards; each kind has a condition it cannot be without."""

    EARLY_BIRD = "early_bird"
    FIRST_SEATS = "first_seats"
    COLLEAGUES = "colleagues"
    MEMBERS = "members"


class Outcome(StrEnum):
    """What became of a rule that was tried: the first is the price, the second was good but not the best."""

    CHOSEN = "chosen"
    BEATEN = "beaten"
    NOT_CHEAPER = "not_cheaper"
    ENDED = "ended"
    NOT_YET = "not_yet"
    SEATS_GONE = "seats_gone"
    SIGN_IN = "sign_in"
    NOT_A_MEMBER = "not_a_member"
    TOO_FEW_COLLEAGUES = "too_few_colleagues"
    OTHER_CURRENCY = "other_currency"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a run as it stands; either `price` or `percent_off` is set. All conditions given must hold."""

    rule_id: int
    kind: RuleKind
    currency: str
    price: int | None = None
    percent_off: int | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    first_seats: int | None = None
    colleagues_from: int | None = None
    organisation_id: int | None = None
    # What the organisation is called, for the explanation alone.
    organisation_zh: str = ""
    organisation_en: str = ""

    @property
    def is_personal(self) -> bool:
        """Whether it depends on who buys."""
        return self.organisation_id is not None or self.colleagues_from is not None

    def price_of(self, list_price: Money) -> Money:
        """What a seat costs by this rule; a fraction of a fen is the buyer's."""
        if self.price is not None:
            return Money(self.price, self.currency)
        return Money(list_price.minor * (WHOLE - (self.percent_off or 0)) // WHOLE, list_price.currency)


@dataclass(frozen=True, slots=True)
class PriceFacts:
    """What a price depends on besides the rules. A stranger has no organisations, and is asked to sign in."""

    list_price: Money
    # The day in the run's zone.
    today: date
    # Seats of the run that are taken at this moment, by enrolments and by holds that still count.
    seats_taken: int
    is_known: bool = False
    # For each organisation of the buyer: how many others of its people are enrolled in the run.
    colleagues: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule that was tried and what became of it; `price` is what it would ask for, whether it applies or not."""

    rule: Rule
    outcome: Outcome
    price: Money


@dataclass(frozen=True, slots=True)
class Price:
    """What a seat costs and why: `chosen` is None when the list price stands."""

    list_price: Money
    amount: Money
    chosen: Rule | None
    tried: tuple[Tried, ...] = ()

    @property
    def saved(self) -> Money:
        """How much less than the list price it is."""
        return self.list_price - self.amount

    def recorded(self) -> dict[str, Any]:
        """The decision as an order line keeps it: the rule that made the price, and what the others came to."""
        return {
            "rule": self.chosen.kind.value if self.chosen else "list_price",
            "rule_id": self.chosen.rule_id if self.chosen else None,
            "list_minor": self.list_price.minor,
            "price_minor": self.amount.minor,
            "tried": [[one.rule.rule_id, one.outcome.value, one.price.minor] for one in self.tried],
            "version": 1,
        }


def decide(rules: Sequence[Rule], facts: PriceFacts) -> Price:
    """The price of one seat for one buyer at one moment: the cheapest rule that applies, else the list price."""
    tried = [(rule, _obstacle(rule, facts), rule.price_of(facts.list_price)) for rule in rules]
    good = [(price.minor, place) for place, (_rule, obstacle, price) in enumerate(tried) if obstacle is None]
    chosen = min(good, default=(0, None))[1]
    told = tuple(
        Tried(rule, obstacle or (Outcome.CHOSEN if place == chosen else Outcome.BEATEN), price)
        for place, (rule, obstacle, price) in enumerate(tried)
    )
    if chosen is None:
        return Price(facts.list_price, facts.list_price, None, told)
    return Price(facts.list_price, told[chosen].price, told[chosen].rule, told)


def _obstacle(rule: Rule, facts: PriceFacts) -> Outcome | None:
    """Why the rule is no help to this buyer now, or None; the reason nearest to the buyer's own doing comes last."""
    if rule.price is not None and rule.currency != facts.list_price.currency:
        return Outcome.OTHER_CURRENCY
    if rule.price_of(facts.list_price).minor >= facts.list_price.minor:
        return Outcome.NOT_CHEAPER
    if rule.starts_on is not None and facts.today < rule.starts_on:
        return Outcome.NOT_YET
    if rule.ends_on is not None and facts.today > rule.ends_on:
        return Outcome.ENDED
    if rule.first_seats is not None and facts.seats_taken >= rule.first_seats:
        return Outcome.SEATS_GONE
    return _personal_obstacle(rule, facts)


def _personal_obstacle(rule: Rule, facts: PriceFacts) -> Outcome | None:
    if not rule.is_personal:
        return None
    if not facts.is_known:
        return Outcome.SIGN_IN
    if rule.organisation_id is not None and rule.organisation_id not in facts.colleagues:
        return Outcome.NOT_A_MEMBER
    if rule.colleagues_from is None:
        return None
    own = rule.organisation_id
    counts = [facts.colleagues[own]] if own is not None else list(facts.colleagues.values())
    # The buyer is one of them: with two colleagues enrolled, the buyer is the third.
    return None if max(counts, default=0) + 1 >= rule.colleagues_from else Outcome.TOO_FEW_COLLEAGUES


def check(rule: Rule, *, list_price: Money) -> None:
    """Raise Invalid, beside the fields concerned, for a rule that says nothing or could make no seat cheaper."""
    wrong: dict[str, str | LazyString] = {}
    if (rule.price is None) == (rule.percent_off is None):
        wrong["price"] = lazy("Enter either a price or a percentage.")
    elif rule.price is not None and not 0 <= rule.price < list_price.minor:
        wrong["price"] = lazy("The price of a rule is lower than the list price.")
    elif rule.percent_off is not None and not 1 <= rule.percent_off <= WHOLE:
        wrong["percent_off"] = lazy("Enter a percentage from 1 to 100.")
    if rule.starts_on and rule.ends_on and rule.ends_on < rule.starts_on:
        wrong["ends_on"] = lazy("The last day comes before the first one.")
    wrong |= _missing(rule)
    if wrong:
        raise Invalid("price_rule_not_valid", lazy("Please check what you entered"), wrong)


def _missing(rule: Rule) -> dict[str, str | LazyString]:
    """What the kind of the rule cannot be without."""
    if rule.kind is RuleKind.EARLY_BIRD and rule.ends_on is None:
        return {"ends_on": lazy("An early-bird price needs its last day.")}
    if rule.kind is RuleKind.FIRST_SEATS and not rule.first_seats:
        return {"first_seats": lazy("Enter how many seats.")}
    if rule.kind is RuleKind.COLLEAGUES and (rule.colleagues_from or 0) < FEWEST_COLLEAGUES:
        return {"colleagues_from": lazy("Enter from which colleague on: two or more.")}
    if rule.kind is RuleKind.MEMBERS and rule.organisation_id is None:
        return {"organisation": lazy("Choose whose people pay this price.")}
    return {}
