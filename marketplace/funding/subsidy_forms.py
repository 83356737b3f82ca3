"""The forms of an officer's decisions about one subsidy, and of the money of a batch."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length

from marketplace.foundation.filling import DayField, text
from marketplace.foundation.i18n import lazy
from marketplace.funding.claims import Expectation, FunderPayment
from marketplace.funding.programme_forms import AmountForm

LONGEST_REASON = 2000
LONGEST_REFERENCE = 120


class ApproveForm(FlaskForm):
    """Accept an application."""

    note = StringField(lazy("Note"), [Length(max=LONGEST_REASON)])
    submit = SubmitField(lazy("Approve"))


class RejectForm(FlaskForm):
    """Refuse it, with a reason that the person reads."""

    reason = TextAreaField(
        lazy("Reason"),
        [InputRequired(lazy("Say why: the person reads it.")), Length(max=LONGEST_REASON)],
        description=lazy("The person reads it in a mail."),
    )
    submit = SubmitField(lazy("Reject"))


class ExtendForm(FlaskForm):
    """Give more time."""

    last_day = DayField(
        lazy("New last day"),
        [InputRequired(lazy("Enter a day, like 2026-05-31."))],
        description=lazy("The whole day is included."),
    )
    reason = StringField(lazy("Reason"), [InputRequired(lazy("Say why.")), Length(max=LONGEST_REASON)])
    submit = SubmitField(lazy("Extend the deadline"))


class ClawBackForm(FlaskForm):
    """The funder takes back what it paid, with a reason that the person reads."""

    reason = TextAreaField(
        lazy("Reason"),
        [InputRequired(lazy("Say why: the person reads it.")), Length(max=LONGEST_REASON)],
        description=lazy("The person reads it in a mail."),
    )
    submit = SubmitField(lazy("Note that the funder takes it back"))


class SendBackForm(FlaskForm):
    """The money was sent back to the funder at the bank."""

    sent_on = DayField(
        lazy("Sent on"),
        [InputRequired(lazy("Enter a day, like 2026-05-31."))],
        description=lazy("The day on which the bank shows it."),
    )
    bank_reference = StringField(
        lazy("Bank reference"),
        [InputRequired(lazy("Say by which reference the bank shows the money.")), Length(max=LONGEST_REFERENCE)],
    )
    reason = StringField(lazy("Reason"), [InputRequired(lazy("Say why.")), Length(max=LONGEST_REASON)])
    submit = SubmitField(lazy("Note that it was sent"))


class FileForm(FlaskForm):
    """Add a document."""

    file = FileField(lazy("Document"), [InputRequired(lazy("Choose a file of at most 5 MB."))])
    submit = SubmitField(lazy("Add the document"))


class LaterForm(FlaskForm):
    """Give a funder more time to pay a batch."""

    last_day = DayField(
        lazy("New last day"),
        [InputRequired(lazy("Enter a day, like 2026-05-31."))],
        description=lazy("The whole day is included."),
    )
    reason = StringField(lazy("Reason"), [InputRequired(lazy("Say why.")), Length(max=LONGEST_REASON)])
    submit = SubmitField(lazy("Expect it later"))

    @property
    def wish(self) -> Expectation:
        """What was entered, once it is valid."""
        if self.last_day.data is None:
            raise ValueError("asked before the form was validated")
        return Expectation(self.last_day.data, text(self.reason))


class PaidForm(AmountForm):
    """The funder paid a batch, as the bank shows it."""

    amount = StringField(
        lazy("Amount"),
        [InputRequired(lazy("Enter an amount."))],
        description=lazy("All that the bank shows; it must be what the lines still claimed come to."),
        render_kw={"inputmode": "decimal"},
    )
    received_on = DayField(
        lazy("Day of receipt"), [InputRequired(lazy("Enter the day on which the bank shows the transfer."))]
    )
    bank_reference = StringField(
        lazy("Bank reference"),
        [InputRequired(lazy("Say by which reference the bank shows the money.")), Length(max=LONGEST_REFERENCE)],
    )
    submit = SubmitField(lazy("Mark as paid"))

    @property
    def payment(self) -> FunderPayment:
        """What was entered, once it is valid."""
        if self.received_on.data is None:
            raise ValueError("asked before the form was validated")
        return FunderPayment(self.money, text(self.bank_reference), self.received_on.data)
