"""The door to revenue terms: every version, and new ones from a day to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts import organisations
from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import revenue_terms
from marketplace.payments.blueprint import blueprint
from marketplace.payments.revenue_forms import RevenueTermsForm

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/staff/revenue-terms", methods=["GET", "POST"])
@permission("staff:finance_officer")
def revenue_terms_page() -> ResponseReturnValue:
    """How sales are shared, by version and provider; new versions hold from a day to come."""
    now, actor_id = clock.now(), person().id
    form = RevenueTermsForm(data={"first_day": revenue_terms.tomorrow(now)})
    form.offer([one for one in organisations.list_all() if one.is_provider])
    tried = attempt(
        form,
        lambda: revenue_terms.set_terms(form.terms, reason=form.reason.data or "", actor_id=actor_id, now=clock.now()),
    )
    if tried.is_done:
        flash(_("The terms are set. They hold for what is sold from that day on."), "success")
        return redirect(url_for("payments.revenue_terms_page"), 303)
    rows = revenue_terms.list_standing(now=now)
    return render_template("payments/revenue_terms.html", form=form, rows=rows, names=standing_names()), tried.status


def standing_names() -> dict[str, tuple[str, str]]:
    """Where a version stands in words, with the kind of its badge."""
    return {
        "to_come": (_("to come"), "warn"),
        "in_force": (_("in force"), "good"),
        "over": (_("over"), ""),
    }
