"""What a person sends to take a seat: the price they saw and the key of the form they saw it on."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, SubmitField
from wtforms.validators import InputRequired, Length, Regexp

from marketplace.foundation.i18n import lazy

STALE = lazy("This page is out of date. Please look at the run again.")


class EnrolForm(FlaskForm):
    """One press; the hidden fields make a replay harmless and a changed price visible."""

    request_key = HiddenField(validators=[InputRequired(STALE), Length(8, 64, STALE)])
    shown_minor = HiddenField(validators=[InputRequired(STALE), Regexp(r"\d{1,15}$", message=STALE)])
    shown_currency = HiddenField(validators=[InputRequired(STALE), Regexp(r"[A-Z]{3}$", message=STALE)])
    submit = SubmitField(lazy("Take the seat"))


class PressForm(FlaskForm):
    """An act that needs nothing but the press."""
