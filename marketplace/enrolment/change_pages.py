"""What the pages of changes after a sale say, in words: payers, grounds, answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.enrolment.refund_rules import WHOLE, Ground, Payer
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from marketplace.enrolment.cancellations import Statement


def payer_names() -> dict[str, str]:
    """Those who pay, in words."""
    return {
        Payer.LEARNER: _("To you, the way you paid"),
        Payer.FUNDER: _("To the funding programme"),
        Payer.VOUCHER: _("To the training voucher"),
    }


def why(statement: Statement) -> str:
    """Why this much goes back, in a sentence."""
    if statement.verdict.ground is Ground.WITHDRAWAL:
        return _("You are within the time in which you may withdraw without a reason: nothing is kept.")
    if statement.verdict.kept_percent == 0:
        return _("You cancel before the first deadline: nothing is kept.")
    if statement.verdict.kept_percent == WHOLE:
        return _("The last deadline has passed: the whole price is kept. You can still give the place to others.")
    return _("By the terms of your order, %(percent)s%% of the price is kept.", percent=statement.verdict.kept_percent)


def run_change_names() -> dict[str, str]:
    """What was done to a run, in words."""
    return {
        "cancelled": _("Run cancelled"),
        "moved": _("Run moved"),
        "merged": _("Run merged into another"),
    }


def choice_names() -> dict[str, str]:
    """What a person may choose when their run has changed, in words."""
    return {
        "refund": _("Everything back"),
        "stay": _("Stay enrolled"),
        "move": _("Another date"),
    }


def answer_names() -> dict[str, tuple[str, str]]:
    """Where the answer of a person stands, in words, with the kind of its badge."""
    return {
        "waiting": (_("Not told yet"), ""),
        "told": (_("Told, no answer yet"), "warn"),
        "settled": (_("Carried out"), "good"),
        "failed": (_("Failed"), "bad"),
    }


def problem_names() -> dict[str, str]:
    """Why a person could not be settled, in words; other codes are shown as they are."""
    return {
        "run_full": _("The other run is full"),
        "already_enrolled": _("Already enrolled in the other run"),
        "held_already": _("Has an open order for the other run"),
        "merge_target": _("No other run was chosen"),
        "run_cancelled": _("The other run is cancelled"),
        "other_started": _("The other run has begun"),
        "other_currency": _("The other run is sold in another currency"),
        "disputed": _("The payment is disputed at the bank"),
        "place_ended": _("The place changed in this very moment"),
    }
