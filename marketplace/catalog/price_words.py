"""Why a price is what it is: each rule that was tried, in the reader's language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.catalog.pricing_rules import Outcome, Price, Rule, RuleKind, Tried
from marketplace.foundation.formats import format_date
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import pick

if TYPE_CHECKING:
    from datetime import date

    from marketplace.foundation.money import Money


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One rule in words: what it is called, what it asks for, and what became of it for this buyer."""

    title: str
    price: Money
    sentence: str
    outcome: str

    @property
    def is_chosen(self) -> bool:
        """Whether this rule makes the price."""
        return self.outcome == Outcome.CHOSEN


def explain(price: Price) -> list[PriceLine]:
    """Every rule of the run in its order; nothing to explain where there are no rules."""
    return [PriceLine(title_of(one.rule), one.price, _sentence(one), one.outcome.value) for one in price.tried]


def reason(price: Price) -> str:
    """In a word, what made the price lower than the list price; an empty text if nothing did."""
    return title_of(price.chosen) if price.chosen else ""


def title_of(rule: Rule) -> str:
    """What a rule is called on pages and in orders."""
    if rule.kind is RuleKind.EARLY_BIRD and rule.ends_on:
        return _("Early bird, until %(date)s", date=format_date(rule.ends_on, "medium"))
    if rule.kind is RuleKind.FIRST_SEATS:
        return _("The first %(count)s seats", count=rule.first_seats)
    if rule.kind is RuleKind.COLLEAGUES:
        return _("From person no. %(count)s of one organisation on", count=rule.colleagues_from)
    return _("For people of %(organisation)s", organisation=pick(rule, "organisation"))


def kind_names() -> dict[RuleKind, str]:
    """The kinds of rules one can choose."""
    return {
        RuleKind.EARLY_BIRD: _("Early bird"),
        RuleKind.FIRST_SEATS: _("The first seats"),
        RuleKind.COLLEAGUES: _("Colleagues"),
        RuleKind.MEMBERS: _("People of one organisation"),
    }


def _sentence(tried: Tried) -> str:
    rule = tried.rule
    return {
        Outcome.CHOSEN: _("This is the price that applies."),
        Outcome.BEATEN: _("It would apply, but another price is lower."),
        Outcome.NOT_CHEAPER: _("It is not lower than the list price."),
        Outcome.ENDED: _("It was for seats taken until %(date)s.", date=_day(rule.ends_on)),
        Outcome.NOT_YET: _("It is for seats taken from %(date)s on.", date=_day(rule.starts_on)),
        Outcome.SEATS_GONE: _("Those seats are taken."),
        Outcome.SIGN_IN: _("Sign in to see whether it is for you."),
        Outcome.NOT_A_MEMBER: _("Your account does not belong to this organisation."),
        Outcome.TOO_FEW_COLLEAGUES: _("Too few of your colleagues are enrolled in this run yet."),
        Outcome.OTHER_CURRENCY: _("It is set in another currency than this run."),
    }[tried.outcome]


def _day(day: date | None) -> str:
    return format_date(day, "long") if day else ""
