"""What people send to change a place they have: what they were shown, and why they decide so."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import HiddenField, SubmitField, TextAreaField
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
