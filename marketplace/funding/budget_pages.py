"""Where a budget stands, as the rows of a table and as the chart of the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from marketplace.foundation.money import Money
    from marketplace.funding.subsidy_lists import Waterfall


@dataclass(frozen=True, slots=True)
class Part:
    """One step of the waterfall: what it is called, its amount, how many lines, what it means."""

    name: str
    amount: Money
    lines: int | None
    meaning: str


def parts(waterfall: Waterfall) -> list[Part]:
    """The deposits and everything they are split into, in the order of the way money takes."""
    lines = waterfall.lines
    return [
        Part(_("Deposited"), waterfall.deposited, None, _("what the funder put in")),
        Part(_("Paid by the funder"), waterfall.paid, lines.get("paid", 0), _("claimed and paid")),
        Part(_("Claimed"), waterfall.claimed, lines.get("claimed", 0), _("in a batch that waits for the funder")),
        Part(_("Earned"), waterfall.earned, lines.get("earned", 0), _("conditions met, to be claimed")),
        Part(_("Reserved"), waterfall.reserved, lines.get("reserved", 0), _("promised, conditions not met yet")),
        Part(_("Under review"), waterfall.applied, lines.get("applied", 0), _("held until an officer decides")),
        Part(_("Borne"), waterfall.borne, waterfall.borne_lines, _("lapsed or rejected, and not owed by the learner")),
        Part(_("Left"), waterfall.left, None, _("can still be promised")),
    ]


def chart(waterfall: Waterfall) -> dict[str, Any]:
    """What js/charts.js draws: each part hangs from where the one before it ended, down to nothing."""
    shown = parts(waterfall)
    bases, top = [0.0], waterfall.deposited
    for part in shown[1:]:
        top -= part.amount
        bases.append(float(top.major))
    return {
        "labels": [part.name for part in shown],
        "series": [
            {
                "code": "budget",
                "name": _("Budget"),
                "unit": waterfall.deposited.currency,
                # Only pictures are drawn with floats.
                "numbers": [float(part.amount.major) for part in shown],
                "bases": bases,
            }
        ],
    }
