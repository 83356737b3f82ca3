"""A form of the style guide: one field of each kind, with faults to show."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, IntegerField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2
from wtforms.validators import InputRequired

from marketplace.foundation.i18n import lazy


class StyleForm(FlaskForm):
    """Sent by nobody."""

    name = StringField(lazy("Your name"), [InputRequired()], description=lazy("As it should stand on a certificate."))
    email = StringField(lazy("E-mail address"), [InputRequired()])
    locale = SelectField(lazy("Language of mails"), choices=[SelectChoice("zh", "中文"), SelectChoice("en", "English")])
    name_zh = TextAreaField(lazy("About it, in Chinese"))
    name_en = TextAreaField(lazy("About it, in English"))
    days = IntegerField(lazy("Days before the start"))
    remember = BooleanField(lazy("Keep me signed in on this device"))

    def with_faults(self) -> StyleForm:
        """The form as it looks after a mistake."""
        self.email.errors = [lazy("Enter an e-mail address, like name@example.com.")]
        return self
