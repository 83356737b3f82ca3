"""The desk for what happens to payments from outside: disputes, and refunds made in Stripe's dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, render_template, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import desk_pages, disputes, external_refunds
from marketplace.payments.blueprint import blueprint
from marketplace.payments.dispute_rules import PlaceDecision
from marketplace.payments.forms import PlaceForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue


@blueprint.get("/staff/after-sale")
@permission("staff:finance_officer")
def after_sale() -> ResponseReturnValue:
    """Disputes and refunds from outside, those that wait for a decision first."""
    found = disputes.list_recent()
    return render_template(
        "payments/after_sale.html",
        officer=person(),
        disputes=found,
        following=disputes.follow_the_bank(found),
        refunds=external_refunds.list_undecided(),
        most={"disputes": disputes.MOST_SHOWN, "refunds": external_refunds.MOST_SHOWN},
        states=desk_pages.dispute_names(),
        decisions=decision_names(),
        reasons=reason_names(),
    )


@blueprint.post("/staff/disputes/<public_id>")
@permission("staff:finance_officer")
def decide_dispute(public_id: str) -> ResponseReturnValue:
    """Keep, suspend or end the place of a disputed payment."""
    return _decide(lambda choice, note: disputes.decide(public_id, choice, **note))


@blueprint.post("/staff/external-refunds/<public_id>")
@permission("staff:finance_officer")
def decide_external_refund(public_id: str) -> ResponseReturnValue:
    """Keep or end the place of a payment that was refunded from outside."""
    return _decide(
        lambda choice, note: external_refunds.decide(public_id, ends_place=choice is PlaceDecision.END, **note)
    )


def _decide(act: Callable[[PlaceDecision, dict[str, Any]], object]) -> ResponseReturnValue:
    """Do what the button says with the reason that was entered."""
    form = PlaceForm()
    back = redirect(url_for("payments.after_sale"), 303)
    if not form.validate_on_submit():
        flash(next(str(sentence) for errors in form.errors.values() for sentence in errors), "error")
        return back
    try:
        note = {"reason": form.reason.data or "", "actor_id": person().id, "now": clock.now()}
        act(PlaceDecision(form.act.data or ""), note)
    except Refused as refusal:
        flash(str(refusal.message), "error")
    else:
        flash(_("The decision is recorded."), "success")
    return back


def reason_names() -> dict[str, str]:
    """What Stripe tells of a cardholder's reason, in words; others are shown as Stripe writes them."""
    return {
        "credit_not_processed": _("A promised refund did not come"),
        "duplicate": _("Charged twice"),
        "fraudulent": _("Says they did not pay"),
        "general": _("No reason given"),
        "product_not_received": _("Says the course was not given"),
        "product_unacceptable": _("Says the course was not as described"),
        "subscription_canceled": _("Says it was cancelled"),
        "unrecognized": _("Does not recognise the payment"),
    }


def decision_names() -> dict[str, str]:
    """What may be decided about a place, in words."""
    return {
        PlaceDecision.KEEP: _("Place kept"),
        PlaceDecision.SUSPEND: _("Place suspended"),
        PlaceDecision.END: _("Place ended"),
    }
