"""The forms of signing in, registering and changing what guards an account."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, PasswordField, StringField, SubmitField
from wtforms.validators import DataRequired, InputRequired, Length

from marketplace.accounts.rules import LONGEST_PASSWORD, SHORTEST_PASSWORD
from marketplace.foundation.filling import attempt as attempt
from marketplace.foundation.filling import choice as choice
from marketplace.foundation.filling import choices_of as choices_of
from marketplace.foundation.filling import show as show
from marketplace.foundation.filling import text as text
from marketplace.foundation.i18n import LazyString, lazy

LONGEST_NAME = 80
LONGEST_EMAIL = 254


def email_field(label: LazyString, hint: LazyString | str = "", *, completes: str = "username") -> StringField:
    """An address; `completes` is the HTML autocomplete token password managers look for."""
    required = InputRequired(lazy("Enter an e-mail address, like name@example.com."))
    keys = {"type": "email", "inputmode": "email", "autocomplete": completes, "spellcheck": "false"}
    return StringField(label, [required, Length(max=LONGEST_EMAIL)], description=hint, render_kw=keys)


def present_password_field(label: LazyString) -> PasswordField:
    """The password as it is; nothing is said about how it should look."""
    required = InputRequired(lazy("Enter your password."))
    keys = {"autocomplete": "current-password"}
    return PasswordField(label, [required, Length(max=4 * LONGEST_PASSWORD)], render_kw=keys)


def new_password_field(label: LazyString) -> PasswordField:
    """A password to be; asked once, since it can be shown, pasted and reset."""
    required = InputRequired(lazy("Choose a password."))
    hint = lazy("At least %(count)s characters. A short sentence is easy to remember.", count=SHORTEST_PASSWORD)
    keys = {"autocomplete": "new-password", "minlength": str(SHORTEST_PASSWORD)}
    return PasswordField(label, [required, Length(max=4 * LONGEST_PASSWORD)], description=hint, render_kw=keys)


class SignInForm(FlaskForm):
    """Who one is, and where to go after."""

    email = email_field(lazy("E-mail address"))
    password = present_password_field(lazy("Password"))
    remember = BooleanField(
        lazy("Keep me signed in on this device"), description=lazy("For 30 days. Leave it empty on a shared computer.")
    )
    next = HiddenField()
    submit = SubmitField(lazy("Sign in"))


class RegisterForm(FlaskForm):
    """What an account needs, and nothing more."""

    name = StringField(
        lazy("Your name"),
        [DataRequired(lazy("Enter your name.")), Length(max=LONGEST_NAME)],
        description=lazy("As it should stand on a certificate."),
        render_kw={"autocomplete": "name"},
    )
    email = email_field(lazy("E-mail address"), lazy("We send a link there to confirm it."))
    password = new_password_field(lazy("Password"))
    agrees = BooleanField(
        lazy("I agree to the terms of service and have read the privacy notice"),
        [InputRequired(lazy("You need to agree to the terms to have an account."))],
    )
    submit = SubmitField(lazy("Create account"))

    def values(self) -> dict[str, str]:
        """What `people.register` asks for."""
        return {field.name: text(field) for field in (self.name, self.email, self.password)}


class CodeForm(FlaskForm):
    """A code of the authenticator app, or a recovery code."""

    code = StringField(
        lazy("Sign-in code"),
        [InputRequired(lazy("Enter the code.")), Length(max=30)],
        description=lazy("Six digits from your authenticator app, or one of your recovery codes."),
        render_kw={"autocomplete": "one-time-code", "spellcheck": "false"},
    )
    submit = SubmitField(lazy("Go on"))


class SecondFactorOffForm(FlaskForm):
    """The password, to do without the second factor."""

    password = present_password_field(lazy("Present password"))
    submit = SubmitField(lazy("Switch off the second factor"))


class ConfirmForm(FlaskForm):
    """The password chosen when registering: only who knows it can open the account."""

    password = present_password_field(lazy("Password"))
    submit = SubmitField(lazy("Confirm and sign in"))


class AddressForm(FlaskForm):
    """An address to send a link to."""

    email = email_field(lazy("E-mail address"))
    submit = SubmitField(lazy("Send the link"))


class ResetForm(FlaskForm):
    """A new password."""

    password = new_password_field(lazy("New password"))
    submit = SubmitField(lazy("Set new password"))


class ChangePasswordForm(FlaskForm):
    """The old password and the new one."""

    password = present_password_field(lazy("Present password"))
    new_password = new_password_field(lazy("New password"))
    submit = SubmitField(lazy("Change password"))


class ChangeEmailForm(FlaskForm):
    """A new address, with the password as proof."""

    email = email_field(
        lazy("New e-mail address"), lazy("We send a link there; nothing changes until you use it."), completes="email"
    )
    password = present_password_field(lazy("Present password"))
    submit = SubmitField(lazy("Send the link"))


class PressForm(FlaskForm):
    """A button that changes something: carries nothing but the CSRF token."""
