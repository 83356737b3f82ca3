"""The form of revenue terms: for whom, both shares, from which day."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from wtforms import Field, SelectField, StringField, SubmitField
from wtforms.validators import InputRequired, ValidationError

from marketplace.foundation.filling import DayField, choice, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.payments.desk_forms import ReasonForm
from marketplace.payments.posting_rules import WHOLE
from marketplace.payments.revenue_terms import NewTerms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.accounts.models import Organisation


def _percent(label: Any, hint: Any) -> StringField:
    wanted = [InputRequired(lazy("Enter a percentage, like 6 or 10.5."))]
    return StringField(label, wanted, description=hint, render_kw={"inputmode": "decimal", "autocomplete": "off"})


class RevenueTermsForm(ReasonForm):
    """New terms of one provider, or of all that have none of their own."""

    organisation = SelectField(lazy("Applies to"), validate_choice=False)
    tax = _percent(lazy("Tax, in per cent"), lazy("Inside the price: of a price of 106, a tax of 6 per cent is 6."))
    platform_fee = _percent(lazy("Platform fee, in per cent"), lazy("Of the price without tax."))
    first_day = DayField(
        lazy("First day"),
        [InputRequired(lazy("Enter a day."))],
        description=lazy("From its beginning in Shanghai. Orders placed before keep their terms."),
    )
    submit = SubmitField(lazy("Set the terms"))

    def offer(self, providers: Sequence[Organisation]) -> None:
        """Fill in the providers, in the reader's language."""
        named = sorted((str(pick(one, "name")), one.public_id) for one in providers)
        everyone = choice("", lazy("Providers without terms of their own"))
        self.organisation.choices = [everyone, *(choice(key, name) for name, key in named)]
        self.ids = {one.public_id: one.id for one in providers}

    def validate_organisation(self, field: Field) -> None:
        """One of those offered."""
        if text(field) and text(field) not in self.ids:
            raise ValidationError(_("Choose one of the providers."))

    def validate_tax(self, field: Field) -> None:
        """A percentage with up to two decimals."""
        _basis_points(field)

    def validate_platform_fee(self, field: Field) -> None:
        """A percentage with up to two decimals."""
        _basis_points(field)

    @property
    def terms(self) -> NewTerms:
        """What was entered, once it is valid."""
        day = self.first_day.data
        if day is None:
            raise ValueError("asked before the form was validated")
        owner = self.ids.get(text(self.organisation))
        return NewTerms(owner, _basis_points(self.platform_fee), _basis_points(self.tax), day)


def _basis_points(field: Field) -> int:
    try:
        points = Decimal(text(field).strip().removesuffix("%")) * 100
    except InvalidOperation as error:
        raise ValidationError(_("Enter a percentage, like 6 or 10.5.")) from error
    if not points.is_finite() or points != points.to_integral_value() or not 0 <= points <= WHOLE:
        raise ValidationError(_("Enter a percentage, like 6 or 10.5."))
    return int(points)
