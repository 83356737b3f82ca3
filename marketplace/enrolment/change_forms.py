"""What people send to change a place they have: what they were shown, and why they decide so."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, cast

from flask_wtf import FlaskForm
from wtforms import (
    HiddenField,
    IntegerField,
    RadioField,
    StringField,
    SubmitField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from marketplace.enrolment.refund_rules import end_of_local_day
from marketplace.foundation.filling import DayField, MomentField
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

STALE = lazy("This page is out of date. Please look at it again.")


class CancelPlaceForm(FlaskForm):
    """The amount that was shown makes a deadline that passed meanwhile visible; a reason is never asked for."""

    shown_minor = HiddenField(validators=[InputRequired(STALE), Regexp(r"\d{1,15}$", message=STALE)])
    reason = TextAreaField(
        lazy("Reason"),
        validators=[Optional(), Length(max=500)],
        description=lazy("Helps the provider to plan better. You need not give one."),
    )
    submit = SubmitField(lazy("Cancel my place"))


class MoveForm(FlaskForm):
    """Which date, and the difference that was shown for it."""

    to_run = HiddenField(validators=[InputRequired(STALE), Length(8, 64, STALE)])
    shown_minor = HiddenField(validators=[InputRequired(STALE), Regexp(r"-?\d{1,15}$", message=STALE)])


class TransferForm(FlaskForm):
    """Who shall have the place."""

    email = StringField(
        lazy("E-mail address of the other person"),
        validators=[InputRequired(lazy("Enter an e-mail address, like name@example.com.")), Length(max=254)],
        description=lazy("We send them a link. They need an account of this address."),
    )
    submit = SubmitField(lazy("Offer my place"))


class RunChangeForm(FlaskForm):
    """What becomes of a run, and the reason that everyone in it is told."""

    kind = RadioField(
        lazy("What happens to the run"),
        choices=[
            SelectChoice("moved", lazy("It takes place at another time or place")),
            SelectChoice("merged", lazy("It is merged into another run")),
            SelectChoice("cancelled", lazy("It is cancelled")),
        ],
        validators=[InputRequired(lazy("Choose one of the ways shown."))],
    )
    reason = TextAreaField(
        lazy("Reason"),
        validators=[InputRequired(lazy("Say why; everyone in the run reads it.")), Length(max=500)],
        description=lazy("Everyone in the run reads it."),
    )
    starts_at = MomentField(
        lazy("New start"), validators=[Optional()], description=lazy("In the run’s zone. All sessions move with it.")
    )
    place_zh = StringField(lazy("New place in Chinese"), validators=[Optional(), Length(max=200)])
    place_en = StringField(lazy("New place in English"), validators=[Optional(), Length(max=200)])
    target = HiddenField()
    submit = SubmitField(lazy("Change the run and tell everyone"))

    def moment_in(self, zone: ZoneInfo) -> datetime | None:
        """The new start, read as a time of the run's zone."""
        return self.starts_at.data.replace(tzinfo=zone).astimezone(UTC) if self.starts_at.data else None


class MinimumForm(FlaskForm):
    """From how many people on a run takes place, and until the end of which day that is decided."""

    minimum = IntegerField(
        lazy("Minimum of people"), validators=[InputRequired(lazy("Enter a number.")), NumberRange(min=1, max=10_000)]
    )
    decide_by = DayField(
        lazy("Decide by"),
        validators=[InputRequired(lazy("Enter a date."))],
        description=lazy("The whole of this day counts, in the run’s zone. A reminder comes three days before."),
    )
    submit = SubmitField(lazy("Set the minimum"))

    def moment_in(self, zone: str) -> datetime:
        """The end of the day that was entered."""
        return end_of_local_day(cast("date", self.decide_by.data), zone)


class ChoiceForm(FlaskForm):
    """What a person chooses when their run has changed."""

    choice = StringField(validators=[InputRequired(STALE)])
    target = StringField(validators=[Optional()])
