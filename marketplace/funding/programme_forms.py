"""The forms of a funding programme: what it is, and its deposits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError

from marketplace.accounts.regions import ZONES
from marketplace.foundation.filling import DayField, check_amount, choice, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import EXPONENTS, Money
from marketplace.foundation.places import zone_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.accounts.models import Organisation

LONGEST_NAME = 160
LONGEST_TERMS = 20_000
LONGEST_REFERENCE = 120
NEEDED = lazy("Enter a day, like 2026-05-31.")


class ProgrammeForm(FlaskForm):
    """A programme in both languages, its funder and its days."""

    name_zh = StringField(lazy("Name in Chinese"), [Length(max=LONGEST_NAME)])
    name_en = StringField(lazy("Name in English"), [Length(max=LONGEST_NAME)])
    terms_zh = TextAreaField(lazy("Terms in Chinese"), [Length(max=LONGEST_TERMS)], render_kw={"rows": 8})
    terms_en = TextAreaField(lazy("Terms in English"), [Length(max=LONGEST_TERMS)], render_kw={"rows": 8})
    funder_id = SelectField(
        lazy("Funder"), description=lazy("An organisation that is known here, or another one, named below.")
    )
    funder_zh = StringField(lazy("Funder's name in Chinese"), [Length(max=LONGEST_NAME)])
    funder_en = StringField(lazy("Funder's name in English"), [Length(max=LONGEST_NAME)])
    currency = SelectField(lazy("Currency"), choices=[choice(code, code) for code in EXPONENTS])
    zone = SelectField(
        lazy("Time zone"),
        choices=[choice(zone, zone_label(zone)) for zone in ZONES],
        default="Asia/Shanghai",
        description=lazy("Its days begin and end in this zone."),
    )
    applications_from = DayField(lazy("Applications from"), [InputRequired(NEEDED)])
    applications_until = DayField(
        lazy("Applications until"), [InputRequired(NEEDED)], description=lazy("The whole day is included.")
    )
    runs_from = DayField(lazy("For courses that start on this day or later"))
    runs_until = DayField(lazy("For courses that start on this day or earlier"))
    submit = SubmitField(lazy("Save"))

    def __init__(self, *args: Any, funders: Sequence[Organisation], **kwargs: Any) -> None:
        """Fill the choice of funders in the language spoken here."""
        super().__init__(*args, **kwargs)
        self.funder_id.choices = [
            choice("", _("Another one, named below")),
            *(choice(str(one.id), str(pick(one, "name"))) for one in funders),
        ]

    def validate_name_en(self, field: StringField) -> None:
        """One name is enough, and needed."""
        if not text(field).strip() and not text(self.name_zh).strip():
            raise ValidationError(_("Enter the name in Chinese or in English, or both."))

    def validate_funder_en(self, field: StringField) -> None:
        """A funder is chosen or named."""
        if not text(self.funder_id) and not text(field).strip() and not text(self.funder_zh).strip():
            raise ValidationError(_("Say who the funder is."))

    def validate_applications_until(self, field: DayField) -> None:
        """A period ends after it begins."""
        if self.applications_from.data and field.data and field.data < self.applications_from.data:
            raise ValidationError(_("A period ends on the day it begins, or on a later one."))

    def validate_runs_until(self, field: DayField) -> None:
        """The same for the days courses start on."""
        if self.runs_from.data and field.data and field.data < self.runs_from.data:
            raise ValidationError(_("A period ends on the day it begins, or on a later one."))

    def values(self) -> dict[str, Any]:
        """What to write, by column."""
        texts = ("name_zh", "name_en", "terms_zh", "terms_en", "funder_zh", "funder_en")
        days = ("applications_from", "applications_until", "runs_from", "runs_until")
        funder_id = int(self.funder_id.data) if self.funder_id.data else None
        return (
            {name: text(self[name]).strip() for name in texts}
            | {name: self[name].data for name in days}
            | {"funder_id": funder_id, "zone": self.zone.data}
        )


class AmountForm(FlaskForm):
    """An amount in the currency of a programme."""

    amount = StringField(lazy("Amount"), [InputRequired(lazy("Enter an amount."))], render_kw={"inputmode": "decimal"})

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        """Amounts are read in the programme's currency."""
        super().__init__(*args, **kwargs)
        self.currency = currency

    def validate_amount(self, field: StringField) -> None:
        """An amount that the currency can write."""
        check_amount(field, self.currency)

    @property
    def money(self) -> Money:
        """The amount typed."""
        return Money.parse(text(self.amount), self.currency)


class DepositForm(AmountForm):
    """Money that came in, or went back."""

    amount = StringField(
        lazy("Amount"),
        [InputRequired(lazy("Enter an amount."))],
        description=lazy("What the funder takes back is written with a minus."),
        render_kw={"inputmode": "decimal"},
    )
    reference = StringField(
        lazy("Reference"),
        [InputRequired(lazy("Say by which reference the money can be found.")), Length(max=LONGEST_REFERENCE)],
        description=lazy("Of the bank or of the grant letter; each is used once."),
    )
    note = StringField(lazy("Note"), [Length(max=LONGEST_NAME)])
    submit = SubmitField(lazy("Record the deposit"))


class PressForm(FlaskForm):
    """An act that needs nothing but the press."""
