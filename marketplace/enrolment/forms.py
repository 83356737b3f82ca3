"""What a person sends to take a seat: the price they saw and the key of the form they saw it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, StringField, SubmitField
from wtforms.validators import AnyOf, InputRequired, Length, Optional, Regexp

from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.subsidising import NOBODY, Agreed
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import EXPONENTS, Money
from marketplace.funding.vouchers import LONGEST_CODE

if TYPE_CHECKING:
    from marketplace.enrolment.quotes import Quote
    from marketplace.funding.estimates import Estimate

STALE = lazy("This page is out of date. Please look at the run again.")


class EnrolForm(FlaskForm):
    """One press; the hidden fields make a replay harmless and a changed price visible."""

    request_key = HiddenField(validators=[InputRequired(STALE), Regexp(r"[0-9a-z]{8,64}$", message=STALE)])
    shown_minor = HiddenField(validators=[InputRequired(STALE), Regexp(r"\d{1,15}$", message=STALE)])
    shown_due_minor = HiddenField(validators=[Optional(), Regexp(r"\d{1,15}$", message=STALE)])
    shown_currency = HiddenField(validators=[InputRequired(STALE), AnyOf(EXPONENTS, STALE)])
    # The funding programme that is to pay a part, by the version of its rule that was shown.
    programme = HiddenField(validators=[Optional(), Regexp(r"[a-z0-9]{1,32}$", message=STALE)])
    rule_version = HiddenField(validators=[Optional(), Regexp(r"\d{1,6}$", message=STALE)])
    agrees = BooleanField()
    voucher_code = StringField(
        lazy("Voucher code"),
        [Optional(), Length(max=LONGEST_CODE)],
        description=lazy("If you were given one. It pays what is left, up to its value."),
        render_kw={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false", "maxlength": "64"},
    )
    # From the link of a seat pool.
    seat_code = HiddenField(validators=[Optional(), Length(max=64, message=STALE)])
    waives = BooleanField(
        lazy("I agree that the course starts before my right to withdraw ends; I lose this right when it starts.")
    )
    submit = SubmitField(lazy("Take the seat"))

    def show(self, quoted: Quote) -> None:
        """Send along what the page shows."""
        self.shown_minor.data = str(quoted.price.minor)
        self.shown_due_minor.data = str(quoted.due.minor)
        self.shown_currency.data = quoted.price.currency

    def choose(self, estimate: Estimate | None) -> None:
        """Send along which programme pays, by which version; that nobody does is an answer too."""
        self.programme.data = estimate.programme.public_id if estimate else NOBODY
        self.rule_version.data = str(estimate.version.version) if estimate else ""

    def keep(self, sent: EnrolForm) -> None:
        """Take over what the person typed and chose in a form that is shown again."""
        for name in ("voucher_code", "programme", "rule_version", "agrees", "seat_code", "waives"):
            self[name].data = sent[name].data

    @property
    def shown_price(self) -> Money:
        """The price the person saw."""
        return Money(int(self.shown_minor.data or 0), self.shown_currency.data or "")

    @property
    def asked(self) -> Asked:
        """What they ask for beside the seat; a new field of the form goes in here."""
        due = self.shown_due_minor.data
        return Asked(
            voucher_code=(self.voucher_code.data or "").strip() or None,
            programme=None if self.programme.data == NOBODY else self.programme.data or None,
            agreed=Agreed(int(self.rule_version.data or 0), bool(self.agrees.data)),
            seat_code=self.seat_code.data or None,
            shown_due=Money(int(due), self.shown_currency.data or "") if due else None,
            waives=bool(self.waives.data),
        )


class PressForm(FlaskForm):
    """An act that needs nothing but the press."""
