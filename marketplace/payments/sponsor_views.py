"""The door to what sponsors of vouchers owe, and to what they pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for
from wtforms import SelectField, SubmitField
from wtforms.validators import InputRequired

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import bank_days, clock, ids
from marketplace.foundation.filling import attempt, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import lazy
from marketplace.payments import desk_pages, sponsors
from marketplace.payments.blueprint import blueprint
from marketplace.payments.desk_forms import CurrencyTransferForm, choices_of_sponsors
from marketplace.payments.sponsors import Paid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue

    from marketplace.accounts.models import Organisation


class SponsorPaidForm(CurrencyTransferForm):
    """A bank transfer of a sponsor."""

    sponsor = SelectField(lazy("Sponsor"), validators=[InputRequired(lazy("Choose the sponsor."))])
    submit = SubmitField(lazy("The sponsor paid"))

    def offer(self, organisations: Sequence[Organisation]) -> None:
        """Fill in the sponsors, in the reader's language."""
        self.ids = {one.public_id: one.id for one in organisations}
        self.sponsor.choices = choices_of_sponsors(organisations)

    @property
    def paid(self) -> Paid:
        """What was entered, once it is valid."""
        return Paid(self.ids[text(self.sponsor)], self.money, text(self.bank_reference), self.day)


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
