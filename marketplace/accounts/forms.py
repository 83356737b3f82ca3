"""The forms of signing in, registering and changing what guards an account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, PasswordField, StringField, SubmitField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2
from wtforms.validators import InputRequired, Length

from marketplace.accounts.rules import LONGEST_PASSWORD, SHORTEST_PASSWORD
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import LazyString, lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Result = TypeVar("Result")
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
        [InputRequired(lazy("Enter your name.")), Length(max=LONGEST_NAME)],
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


def choices_of(names: Mapping[Any, LazyString]) -> list[Any]:
    """The choices of a select from a table of names."""
    return [choice(value, name) for value, name in names.items()]


def choice(value: str, label: LazyString | str, group: str | None = None) -> Any:
    """One choice of a select, under the heading `group`."""
    return SelectChoice(str(value), label, optgroup=group)


def text(field: Field) -> str:
    """What was typed, an empty text for nothing."""
    return str(field.data or "")


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Result]):
    """What became of a form: done with a result, or not (yet) with the status to show it with."""

    is_done: bool
    status: int
    result: Result | None = None


def attempt(form: FlaskForm, act: Callable[[], Result]) -> Attempt[Result]:
    """Call the verb if the form was sent and is valid; what the verb refuses is put on the form."""
    if not form.is_submitted():
        return Attempt(is_done=False, status=200)
    if not form.validate():
        return Attempt(is_done=False, status=422)
    try:
        return Attempt(is_done=True, status=303, result=act())
    except Refused as refused:
        return Attempt(is_done=False, status=show(form, refused))


def show(form: FlaskForm, refused: Refused) -> int:
    """Put what a verb refused beside the fields it names, or above the form; returns the status of the answer."""
    fields = refused.fields if isinstance(refused, Invalid) else {}
    for name, sentence in fields.items():
        if name in form:
            form[name].errors = [*form[name].errors, sentence]
    if not any(name in form for name in fields):
        form.form_errors.append(refused.message)
    return refused.status
