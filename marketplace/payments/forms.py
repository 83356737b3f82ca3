"""What finance staff enter: a refund, and the note that closes a discrepancy."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, RadioField, StringField, SubmitField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2
from wtforms.validators import AnyOf, InputRequired, Length

from marketplace.foundation.filling import check_amount
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money


class RefundForm(FlaskForm):
    """An amount in the order's currency, the reason, which the order's history keeps, and what becomes of the place."""

    amount = StringField(lazy("Amount"), validators=[InputRequired(lazy("Enter an amount, like 1280.00."))])
    reason = StringField(
        lazy("Reason"),
        validators=[InputRequired(lazy("Say why the money goes back.")), Length(max=200)],
        description=lazy("Kept in the order's history; the learner does not see it."),
    )
    # Nothing is chosen beforehand: money and place are two decisions.
    place = RadioField(
        lazy("The place in the run"),
        choices=[
            SelectChoice("keep", lazy("The person stays enrolled")),
            SelectChoice("end", lazy("The enrolment ends now and the seat is free")),
        ],
        validators=[InputRequired(lazy("Say what becomes of the place."))],
    )
    # The shares that the page has shown, where more than one payer has one.
    shown = HiddenField()
    # What was left to give back when the page was made, in minor units.
    left = HiddenField()
    submit = SubmitField(lazy("Give back"))

    def __init__(self, *, currency: str) -> None:
        """The currency that the amount is read in."""
        super().__init__()
        self.currency = currency
        # What the page says of the shares, once there is something to say: whose, and how much.
        self.shares: list[tuple[str, str]] = []

    def validate_amount(self, field: StringField) -> None:
        """Refuse what is no amount in the currency."""
        check_amount(field, self.currency)

    @property
    def money(self) -> Money:
        """The amount entered."""
        return Money.parse(self.amount.data or "", self.currency)


class PlaceForm(FlaskForm):
    """What becomes of the place of a payment that was disputed or refunded from outside; each button is an answer."""

    act = StringField(
        validators=[InputRequired(), AnyOf(["keep", "suspend", "end"], message=lazy("Say what becomes of the place."))]
    )
    reason = StringField(validators=[InputRequired(lazy("Say why: it is kept with what you do."))])
