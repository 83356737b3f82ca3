"""What a person enters to be forgotten, and what an administrator does for somebody who wrote a letter."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, PasswordField, SelectField, StringField, SubmitField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2
from wtforms.validators import InputRequired, Length

from marketplace.foundation.i18n import lazy
from marketplace.privacy.models import Ground

GROUNDS = {
    Ground.SELF: lazy("The person, on their account page"),
    Ground.LETTER: lazy("The person, by letter or by word"),
    Ground.AUTHORITY: lazy("An authority or a court"),
}


class DeleteForm(FlaskForm):
    """The password, as the first proof; the mailed link is the second."""

    password = PasswordField(
        lazy("Your password"),
        [InputRequired(lazy("Enter your password.")), Length(max=512)],
        render_kw={"autocomplete": "current-password"},
    )
    submit = SubmitField(lazy("Send me the link"))


class ErasureForm(FlaskForm):
    """Whom to forget, why, and when."""

    email = StringField(
        lazy("E-mail address of the account"),
        [InputRequired(lazy("Enter an e-mail address, like name@example.com.")), Length(max=254)],
        render_kw={"type": "email", "autocomplete": "off", "spellcheck": "false"},
    )
    ground = SelectField(
        lazy("Who asked for it"),
        [InputRequired()],
        choices=[SelectChoice(str(ground), GROUNDS[ground]) for ground in (Ground.LETTER, Ground.AUTHORITY)],
    )
    at_once = BooleanField(
        lazy("At once, without fourteen days to think again"), description=lazy("It cannot be undone afterwards.")
    )
    submit = SubmitField(lazy("Plan the deletion"))


class PressForm(FlaskForm):
    """A button: carries nothing but the CSRF token."""
