"""What staff enter at the desk: a transfer, a reason, the reference of a transfer back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, RadioField, SelectField, StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length

from marketplace.foundation import bank_days
from marketplace.foundation.filling import DayField, check_amount, choice, text
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import DEFAULT_CURRENCY, EXPONENTS, Money
from marketplace.payments import offline_rules
from marketplace.payments.acts import LONGEST_REASON
from marketplace.payments.desk_words import move_words
from marketplace.payments.models import Purpose
from marketplace.payments.offline import Transfer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from marketplace.accounts.models import Organisation
    from marketplace.enrolment.changes import Move


def choices_of_sponsors(organisations: Sequence[Organisation]) -> list[Any]:
    """The choices of a select of sponsors, by name in the reader's language; their values are public ids."""
    named = sorted((str(pick(one, "name")), one.public_id) for one in organisations)
    return [choice(key, name) for name, key in named]


class ReasonForm(FlaskForm):
    """Why something is done; kept with the act."""

    reason = TextAreaField(
        lazy("Reason"),
        validators=[InputRequired(lazy("Say why: it is kept with what you do.")), Length(max=LONGEST_REASON)],
        description=lazy("Kept with your name; the learner does not see it."),
    )
    submit = SubmitField(lazy("Do it"))


class BankTransferForm(ReasonForm):
    """A transfer as the bank shows it."""

    amount = StringField(lazy("Amount"), validators=[InputRequired(lazy("Enter an amount, like 1280.00."))])
    bank_reference = StringField(
        lazy("Reference at the bank"),
        validators=[
            InputRequired(lazy("Enter the reference by which the bank shows the transfer.")),
            Length(max=offline_rules.LONGEST_REFERENCE),
        ],
    )
    received_on = DayField(
        lazy("Day of receipt"), validators=[InputRequired(lazy("Enter the day on which the bank shows the transfer."))]
    )

    @property
    def code(self) -> str:
        """The currency of the amount, which a form either offers or is made with."""
        offered: str | Field = self.currency
        return offered if isinstance(offered, str) else text(offered)

    def validate_amount(self, field: StringField) -> None:
        """Refuse what is no amount in the currency."""
        check_amount(field, self.code)

    @property
    def money(self) -> Money:
        """The amount entered, once it is valid."""
        return Money.parse(text(self.amount), self.code)

    @property
    def day(self) -> date:
        """The day entered, once it is valid."""
        if self.received_on.data is None:
            raise ValueError("asked before the form was validated")
        day: date = self.received_on.data
        return day


class CurrencyTransferForm(BankTransferForm):
    """A transfer of any currency."""

    currency = SelectField(
        lazy("Currency"),
        choices=[choice(code, code) for code in EXPONENTS],
        default=DEFAULT_CURRENCY,
        validators=[InputRequired(lazy("Choose a currency."))],
    )


class TransferForm(BankTransferForm):
    """A bank transfer for an order, or for what is owed beside it."""

    submit = SubmitField(lazy("Enter the transfer"))

    def __init__(self, due: Money, *, now: datetime, purpose: Purpose = Purpose.ORDER) -> None:
        """Filled with what is due and the day of today."""
        prefix = "transfer" if purpose is Purpose.ORDER else "debt"
        super().__init__(data={"amount": str(due.major), "received_on": bank_days.day_of(now)}, prefix=prefix)
        self.currency, self.purpose = due.currency, purpose

    @property
    def transfer(self) -> Transfer:
        """What was entered, once it is valid."""
        return Transfer(self.money, text(self.bank_reference), self.day, self.purpose)


class MoveOrderForm(ReasonForm):
    """Which run, with the difference that was shown for it."""

    to_run = RadioField(lazy("The other run"), validators=[InputRequired(lazy("Choose one of the runs."))])
    submit = SubmitField(lazy("Move the order"))

    def offer(self, moves: Sequence[Move]) -> None:
        """Fill in the runs, each said by its dates, its seats and what goes back."""
        self.moves = {f"{one.run.public_id}/{one.difference.minor}": one for one in moves}
        self.to_run.choices = [choice(key, move_words(one)) for key, one in self.moves.items()]

    @property
    def chosen(self) -> Move:
        """The run that was chosen, once the form is valid."""
        return self.moves[self.to_run.data or ""]


class WriteOffForm(ReasonForm):
    """A part of what a learner owes that is given up."""

    amount = StringField(lazy("Amount"), validators=[InputRequired(lazy("Enter an amount, like 1280.00."))])
    # What was owed when the page was made, in minor units.
    left = HiddenField()
    submit = SubmitField(lazy("Write it off"))

    def __init__(self, left: Money) -> None:
        """Filled with all that is owed."""
        super().__init__(data={"amount": str(left.major)}, prefix="write-off")
        self.currency = left.currency

    def validate_amount(self, field: StringField) -> None:
        """Refuse what is no amount in the currency."""
        check_amount(field, self.currency)

    @property
    def money(self) -> Money:
        """The amount entered."""
        return Money.parse(self.amount.data or "", self.currency)


class BankRefundForm(ReasonForm):
    """A refund that was sent at the bank."""

    bank_reference = StringField(
        lazy("Reference at the bank"),
        validators=[
            InputRequired(lazy("Enter the reference by which the bank shows the transfer.")),
            Length(max=offline_rules.LONGEST_REFERENCE),
        ],
    )
    sent_on = DayField(
        lazy("Day of the transfer"),
        validators=[InputRequired(lazy("Enter the day on which the bank shows the transfer."))],
    )
    submit = SubmitField(lazy("It is sent"))

    @property
    def day(self) -> date:
        """The day entered, once it is valid."""
        if self.sent_on.data is None:
            raise ValueError("asked before the form was validated")
        day: date = self.sent_on.data
        return day
