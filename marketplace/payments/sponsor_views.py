"""The door to what sponsors of vouchers owe, and to what they pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for
from wtforms import SelectField, StringField, SubmitField
from wtforms.validators import InputRequired, Length, ValidationError

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import bank_days, clock, ids
from marketplace.foundation.filling import DayField, attempt, choice, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.money import EXPONENTS, Money, MoneyError
from marketplace.payments import desk_pages, offline_rules, sponsors
from marketplace.payments.blueprint import blueprint
from marketplace.payments.desk_forms import ReasonForm
from marketplace.payments.sponsors import Paid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue

    from marketplace.accounts.models import Organisation


class SponsorPaidForm(ReasonForm):
    """A bank transfer of a sponsor."""

    sponsor = SelectField(lazy("Sponsor"), validators=[InputRequired(lazy("Choose the sponsor."))])
    amount = StringField(lazy("Amount"), [InputRequired(lazy("Enter an amount, like 1280.00."))])
    currency = SelectField(lazy("Currency"), choices=[choice(code, code) for code in EXPONENTS], default="CNY")
    bank_reference = StringField(
        lazy("Reference at the bank"),
        [
            InputRequired(lazy("Enter the reference by which the bank shows the transfer.")),
            Length(max=offline_rules.LONGEST_REFERENCE),
        ],
    )
    received_on = DayField(
        lazy("Day of receipt"), [InputRequired(lazy("Enter the day on which the bank shows the transfer."))]
    )
    submit = SubmitField(lazy("The sponsor paid"))

    def offer(self, organisations: Sequence[Organisation]) -> None:
        """Fill in the sponsors, in the reader's language."""
        self.ids = {one.public_id: one.id for one in organisations}
        named = sorted((str(pick(one, "name")), one.public_id) for one in organisations)
        self.sponsor.choices = [choice(key, name) for name, key in named]

    def validate_amount(self, field: StringField) -> None:
        """Refuse what is no amount in the currency."""
        try:
            Money.parse(text(field), self.currency.data or "")
        except MoneyError as error:
            raise ValidationError(_("Enter an amount, like 1280.00.")) from error

    @property
    def paid(self) -> Paid:
        """What was entered, once it is valid."""
        if self.received_on.data is None:
            raise ValueError("asked before the form was validated")
        amount = Money.parse(text(self.amount), self.currency.data or "")
        return Paid(self.ids[text(self.sponsor)], amount, text(self.bank_reference), self.received_on.data)


@blueprint.route("/staff/sponsors", methods=["GET", "POST"])
@permission("staff:finance_officer")
def staff_sponsors() -> ResponseReturnValue:
    """What each sponsor owes for used vouchers, what they paid, and a form for another payment."""
    now, actor_id = clock.now(), person().id
    form = SponsorPaidForm(data={"received_on": bank_days.day_of(now)})
    organisations = sponsors.list_sponsors()
    form.offer(organisations)
    tried = attempt(form, lambda: sponsors.enter(form.paid, reason=form.reason.data or "", actor_id=actor_id, now=now))
    if tried.is_done:
        flash(_("The payment is entered."), "success")
        return redirect(url_for("payments.staff_sponsors"), 303)
    payments, next_before = sponsors.list_payments(before=ids.row_number(request.args.get("before", "")))
    page = render_template(
        "payments/staff_sponsors.html",
        owed=sponsors.list_owed(),
        sponsors=organisations,
        payments=payments,
        next_before=next_before,
        states=desk_pages.transfer_names(),
        form=form,
    )
    return page, tried.status
