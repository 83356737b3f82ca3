"""How a door deals with a form that was filled in: call the verb, or show the form again with what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wtforms import DateField, DateTimeLocalField, Field, IntegerField, ValidationError
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2

from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.money import Money, MoneyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from flask_wtf import FlaskForm

    from marketplace.foundation.i18n import LazyString

Result = TypeVar("Result")


# What a column of whole numbers takes in any case.
MOST_DIGITS = 9
FIRST_YEAR, LAST_YEAR = 1900, 2199


class NumberField(IntegerField):
    """A whole number, whose refusal is a sentence of ours."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed; nothing is None."""
        typed = valuelist[0].strip() if valuelist else ""
        self.data = int(typed) if typed.isdecimal() and len(typed) <= MOST_DIGITS else None
        if typed and self.data is None:
            raise ValueError(_("Enter a whole number."))


class DayField(DateField):
    """A day, whose refusal is a sentence of ours."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the ISO date a browser sends; nothing is None."""
        if not valuelist or not valuelist[0].strip():
            self.data = None
            return
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError(_("Enter a day, like 2026-05-31.")) from error
        if self.data is not None and not is_near(self.data):
            self.data = None
            raise ValueError(_("Enter a day, like 2026-05-31."))


class MomentField(DateTimeLocalField):
    """A day and a time of day by a clock on the wall, as a browser sends them."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read it; nothing is None. A year of two digits is sent as one of the first century."""
        super().process_formdata(valuelist)
        if self.data is not None and not is_near(self.data):
            self.data = None
            raise ValueError(_("Enter a day, like 2026-05-31."))


def is_near(day: date) -> bool:
    """Whether a day lies in a time that people mean, and far enough from the ends of the calendar to reckon with."""
    return FIRST_YEAR <= day.year <= LAST_YEAR


def choices_of(names: Mapping[Any, LazyString]) -> list[Any]:
    """The choices of a select from a table of names."""
    return [choice(value, name) for value, name in names.items()]


def choice(value: str, label: LazyString | str, group: str | None = None) -> Any:
    """One choice of a select, under the heading `group`."""
    return SelectChoice(str(value), label, optgroup=group)


def text(field: Field) -> str:
    """What was typed, an empty text for nothing."""
    return str(field.data or "")


def check_amount(field: Field, currency: str) -> None:
    """Raise the ValidationError of a field whose text is no amount of the currency."""
    try:
        Money.parse(text(field), currency)
    except MoneyError as error:
        raise ValidationError(_("Enter an amount, like 1280.00.")) from error


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Result]):
    """What became of a form: done with a result, or not (yet) with the status to show it with."""

    is_done: bool
    status: int
    result: Result | None = None
    refused: Refused | None = None


def attempt(form: FlaskForm, act: Callable[[], Result]) -> Attempt[Result]:
    """Call the verb if the form was sent and is valid; what the verb refuses is put on the form."""
    if not form.is_submitted():
        return Attempt(is_done=False, status=200)
    if not form.validate():
        return Attempt(is_done=False, status=422)
    try:
        return Attempt(is_done=True, status=303, result=act())
    except Refused as refused:
        return Attempt(is_done=False, status=show(form, refused), refused=refused)


def show(form: FlaskForm, refused: Refused) -> int:
    """Put what a verb refused beside the fields it names, or above the form; returns the status of the answer."""
    fields = refused.fields if isinstance(refused, Invalid) else {}
    for name, sentence in fields.items():
        if name in form:
            form[name].errors = [*form[name].errors, sentence]
    if not any(name in form for name in fields):
        form.form_errors.append(refused.message)
    return refused.status
