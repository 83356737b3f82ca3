"""What learners enter for an invoice or a fapiao, and what finance staff record of them."""

from __future__ import annotations

from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import DateField, HiddenField, RadioField, StringField, SubmitField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are of 3.2
from wtforms.validators import Email, InputRequired, Length, Optional, Regexp

from marketplace.foundation.i18n import lazy
from marketplace.payments.fapiao import FapiaoWish
from marketplace.payments.invoices import BilledTo

KINDS = [SelectChoice("personal", lazy("A person")), SelectChoice("company", lazy("A company or organisation"))]
FILE_KINDS = ".pdf,.ofd,.xml"


class InvoiceForm(FlaskForm):
    """Whom the invoice is made out to, and who pays, where that is not the learner."""

    kind = RadioField(lazy("Made out to"), choices=KINDS, default="personal")
    title = StringField(lazy("Name on the invoice"), [InputRequired(lazy("Enter the name.")), Length(max=120)])
    tax_number = StringField(lazy("Tax number"), [Optional(), Length(max=40)])
    address = StringField(lazy("Address on the invoice"), [Optional(), Length(max=200)])
    payer = StringField(
        lazy("Payer"),
        [Optional(), Length(max=120)],
        description=lazy("Who owes the money, if that is not you: your employer, for instance."),
    )
    remitter = StringField(
        lazy("Paid by"),
        [Optional(), Length(max=120)],
        description=lazy("Whose account or card the money came from, if that is somebody else's."),
    )
    submit_invoice = SubmitField(lazy("Issue the invoice"))

    @property
    def billed(self) -> BilledTo:
        """What was entered."""
        names = ("title", "tax_number", "address", "payer", "remitter")
        return BilledTo(kind=self.kind.data or "personal", **{name: (self[name].data or "").strip() for name in names})


class FapiaoForm(FlaskForm):
    """Whom a fapiao is made out to, and where it is sent."""

    kind = RadioField(lazy("Made out to"), choices=KINDS, default="personal", id="fapiao-kind")
    title = StringField(
        lazy("Name on the fapiao"), [InputRequired(lazy("Enter the name.")), Length(max=120)], id="fapiao-title"
    )
    tax_number = StringField(
        lazy("Unified social credit code"),
        [Optional(), Length(max=30)],
        id="fapiao-tax-number",
        description=lazy("For a company: 18 digits and capital letters."),
        filters=[lambda written: written.replace(" ", "").upper() if written else written],
    )
    email = StringField(
        lazy("E-mail for the fapiao"),
        [InputRequired(lazy("Enter an e-mail address.")), Email(lazy("This is no e-mail address."))],
        id="fapiao-email",
    )
    submit_fapiao = SubmitField(lazy("Ask for a fapiao"))

    @property
    def wish(self) -> FapiaoWish:
        """What was entered."""
        return FapiaoWish(
            kind=self.kind.data or "personal",
            title=(self.title.data or "").strip(),
            tax_number=self.tax_number.data,
            email=(self.email.data or "").strip(),
        )


class _RecordForm(FlaskForm):
    """A document of the tax system: its number and file."""

    number = StringField(
        lazy("Fapiao number"),
        [InputRequired(lazy("Enter the number.")), Regexp(r"^\d{8,20}$", message=lazy("Digits only, 8 to 20."))],
        render_kw={"inputmode": "numeric"},
    )
    file = FileField(
        lazy("File"),
        [FileRequired(lazy("Choose a file."))],
        description=lazy("PDF, OFD or XML, at most 3 MB."),
        render_kw={"accept": FILE_KINDS},
    )


class IssueForm(_RecordForm):
    """The fapiao as the tax system made it."""

    issued_on = DateField(lazy("Date"), [InputRequired(lazy("Enter the date."))])
    shown_minor = HiddenField(validators=[Optional(), Regexp(r"\d{1,15}$")])
    submit_issue = SubmitField(lazy("Record and send it"))


class ReverseForm(_RecordForm):
    """The red-letter fapiao that reverses it."""

    submit_reverse = SubmitField(lazy("Record the reversal"))


class RejectForm(FlaskForm):
    """Why there will be no fapiao."""

    reason = TextAreaField(
        lazy("Reason"),
        [InputRequired(lazy("Say why, so that the learner can mend it.")), Length(max=500)],
        description=lazy("The learner reads this."),
    )
    submit_reject = SubmitField(lazy("Reject"))


class SellerForm(FlaskForm):
    """A seller as invoices name them."""

    name_zh = StringField(lazy("Name in Chinese"), [InputRequired(lazy("Enter the name.")), Length(max=120)])
    name_en = StringField(lazy("Name in English"), [Optional(), Length(max=120)])
    tax_number = StringField(
        lazy("Unified social credit code"), [InputRequired(lazy("Enter the number.")), Length(max=30)]
    )
    address_zh = StringField(lazy("Address in Chinese"), [Optional(), Length(max=200)])
    address_en = StringField(lazy("Address in English"), [Optional(), Length(max=200)])
    prefix = StringField(
        lazy("Numbers begin with"),
        [
            InputRequired(lazy("Enter some capital letters.")),
            Regexp(r"^[A-Z]{1,6}$", message=lazy("One to six capital letters.")),
        ],
        description=lazy("Cannot be changed once a number was given."),
    )
    submit = SubmitField(lazy("Save"))
