"""The form of cancellation terms: up to four deadlines, when a place may still be moved, the right to withdraw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import Field, RadioField, SubmitField
from wtforms.validators import InputRequired, NumberRange, Optional

from marketplace.enrolment.refund_rules import WHOLE, Terms, Tier, checked_tiers
from marketplace.foundation.errors import Invalid
from marketplace.foundation.filling import NumberField, choice
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.enrolment.change_models import RefundPolicy

LONGEST = 365  # days


def _days() -> NumberField:
    sentence = lazy("Between 0 and 365 days.")
    return NumberField(lazy("Days before the start"), [Optional(), NumberRange(0, LONGEST, sentence)])


def _kept() -> NumberField:
    sentence = lazy("Between 0 and 100 per cent.")
    return NumberField(lazy("Deducted, in per cent"), [Optional(), NumberRange(0, WHOLE, sentence)])


class TermsForm(FlaskForm):
    """Terms of one run. Deadlines that are left empty do not count; after the last one the whole price is kept."""

    days_1, kept_1 = _days(), _kept()
    days_2, kept_2 = _days(), _kept()
    days_3, kept_3 = _days(), _kept()
    days_4, kept_4 = _days(), _kept()
    deferral_days = NumberField(
        lazy("Moving to another date is possible until so many days before the start"),
        [InputRequired(lazy("Enter a number.")), NumberRange(0, LONGEST, lazy("Between 0 and 365 days."))],
    )
    look = SubmitField(lazy("Show what learners would read"))
    submit = SubmitField(lazy("Put these terms in force"))

    @property
    def deadlines(self) -> list[tuple[Field, Field]]:
        """The pairs of fields, in their order."""
        return [(self[f"days_{number}"], self[f"kept_{number}"]) for number in range(1, 5)]

    def tiers(self) -> list[Tier]:
        """The deadlines that were filled in."""
        return [
            Tier(days.data, kept.data)
            for days, kept in self.deadlines
            if days.data is not None and kept.data is not None
        ]

    def terms(self, withdrawal_days: int) -> Terms:
        """What was typed, as terms that are not kept yet."""
        return Terms(0, checked_tiers(self.tiers()), withdrawal_days, self.deferral_days.data or 0)

    def validate(self, extra_validators: Any = None) -> bool:
        """Each deadline whole, and all of them in an order that makes sense."""
        if not super().validate(extra_validators):
            return False
        for days, kept in self.deadlines:
            if (days.data is None) != (kept.data is None):
                empty = days if days.data is None else kept
                empty.errors = [_("Fill in both numbers of a deadline, or neither.")]
                return False
        try:
            checked_tiers(self.tiers())
        except Invalid as refused:
            self.form_errors.append(str(refused.message))
            return False
        return True


class ProviderTermsForm(TermsForm):
    """Terms of a provider's runs; the right to withdraw is the seller's, so it is set here alone."""

    withdrawal_days = RadioField(
        lazy("Right to withdraw without a reason"),
        choices=[
            choice("14", lazy("14 days after buying (as in the European Union)")),
            choice("7", lazy("7 days after buying (as for online sales in China)")),
            choice("0", lazy("None by law for what is sold here")),
        ],
        validators=[InputRequired(lazy("Choose one of the ways shown."))],
        description=lazy("It ends when the course starts, and goes before the deadlines above."),
    )


def values_of(row: RefundPolicy) -> dict[str, Any]:
    """A version as its form shows it."""
    tiers: Sequence[dict[str, int]] = row.tiers[:4]
    found: dict[str, Any] = {"deferral_days": row.deferral_days, "withdrawal_days": str(row.withdrawal_days)}
    for number, tier in enumerate(tiers, 1):
        found |= {f"days_{number}": tier["days_before"], f"kept_{number}": tier["kept_percent"]}
    return found
