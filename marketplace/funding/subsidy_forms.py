"""The forms of an officer's decisions about one subsidy, and of the money of a batch."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import StringField, SubmitField, TextAreaField
from wtforms.validators import InputRequired, Length

from marketplace.foundation.filling import DayField
from marketplace.foundation.i18n import lazy

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


class FileForm(FlaskForm):
    """Add a document."""

    file = FileField(lazy("Document"), [InputRequired(lazy("Choose a file of at most 5 MB."))])
    submit = SubmitField(lazy("Add the document"))


class PaidForm(FlaskForm):
    """The funder paid a batch."""

    bank_reference = StringField(
        lazy("Bank reference"),
        [InputRequired(lazy("Say by which reference the bank shows the money.")), Length(max=LONGEST_REFERENCE)],
    )
    submit = SubmitField(lazy("Mark as paid"))
