"""What whom a seat would cost on a day: the price rules of a run tried for the kinds of buyers they tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.catalog import pricing_rules
from marketplace.catalog.pricing_rules import Price, PriceFacts
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import pick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from marketplace.catalog.pricing_rules import Rule
    from marketplace.foundation.money import Money

# An organisation that no rule names.
SOME_ORGANISATION = 0


@dataclass(frozen=True, slots=True)
class Previewed:
    """A kind of buyer in words, and the price for them."""

    buyer: str
    price: Price


def preview(rules: Sequence[Rule], *, list_price: Money, today: date, seats_taken: int) -> list[Previewed]:
    """The price for anyone, for the people of each organisation named, and from each colleague on; at this moment."""

    def price(colleagues: Mapping[int, int]) -> Price:
        facts = PriceFacts(list_price, today, seats_taken, is_known=True, colleagues=colleagues)
        return pricing_rules.decide(rules, facts)

    found = [Previewed(_("Anyone"), price({}))]
    named = {rule.organisation_id: rule for rule in rules if rule.organisation_id is not None}
    for organisation_id, rule in named.items():
        name = pick(rule, "organisation")
        found.append(Previewed(_("A person of %(organisation)s", organisation=name), price({organisation_id: 0})))
    for rule in rules:
        if rule.colleagues_from is not None:
            where = SOME_ORGANISATION if rule.organisation_id is None else rule.organisation_id
            found.append(
                Previewed(
                    _("Person no. %(count)s of %(organisation)s", count=rule.colleagues_from, organisation=_name(rule)),
                    price({where: rule.colleagues_from - 1}),
                )
            )
    return found


def _name(rule: Rule) -> str:
    return str(pick(rule, "organisation")) or _("one organisation")
