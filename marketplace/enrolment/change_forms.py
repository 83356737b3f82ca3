"""What people send to change a place they have: what they were shown, and why they decide so."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional, Regexp

from marketplace.foundation.i18n import lazy

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
