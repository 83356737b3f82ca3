"""Doors for paying, and the desk of finance staff."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.enrolment import learning, pages
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import (
    after_sale_views,
    attempts,
    books,
    books_views,
    discrepancies,
    invoice_views,
    reconciliation,
    refunds,
    stripe_matching,
    webhooks,
)
from marketplace.payments.blueprint import blueprint
from marketplace.payments.forms import RefundForm, ResolveForm

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

    from config import Settings
    from marketplace.enrolment.models import Order

LONGEST_ID = 19  # digits of a bigint

# Named so that their doors and their jobs are known wherever the room is opened.
__all__ = [
    "after_sale_views",
    "blueprint",
    "books_views",
    "invoice_views",
    "reconciliation",
    "stripe_matching",
    "webhooks",
]


def init_app(app: Flask, settings: Settings) -> None:
    """Allow the form that starts a payment to lead to Stripe's page, or to the sandbox's."""
    targets = ["https://checkout.stripe.com"]
    if settings.stripe_api_base is not None:
        parts = urlsplit(settings.stripe_api_base)
        targets.append(f"{parts.scheme}://{parts.netloc}")
    app.config["FORM_ACTIONS"] = " ".join(targets)


@blueprint.post("/orders/<public_id>/pay")
@permission("own")
def pay(public_id: str) -> ResponseReturnValue:
    """Lead to Stripe's payment page for one's own order; a double click leads to the same page."""
    order = learning.get_order(public_id, person().id)
    try:
        address = attempts.start_payment(
            order.id,
            return_url=url_for("payments.returned", public_id=public_id, _external=True),
            cancel_url=url_for("enrolment.order", public_id=public_id, _external=True),
            now=clock.now(),
        )
    except Refused as refusal:
        flash(str(refusal.message), "error")
        address = url_for("enrolment.order", public_id=public_id)
    return redirect(address, 303)


@blueprint.get("/orders/<public_id>/returned")
@permission("own")
def returned(public_id: str) -> ResponseReturnValue:
    """Where Stripe sends the person after paying: ask Stripe, then show the order as it is."""
    order = learning.get_order(public_id, person().id)
    attempts.settle_returned(order.id, now=clock.now())
    return redirect(url_for("enrolment.order", public_id=public_id), 303)


@blueprint.get("/staff/payments")
@permission("staff:finance_officer")
def desk() -> ResponseReturnValue:
    """What came in and what does not add up."""
    before = request.args.get("before", "")
    payments, next_before = books.list_payments(
        before=int(before) if before.isdecimal() and len(before) < LONGEST_ID else None
    )
    return render_template(
        "payments/desk.html",
        payments=payments,
        next_before=next_before,
        discrepancies=discrepancies.list_open(),
        balances=books.list_balances(),
        kinds=books.discrepancy_names(),
        accounts=books.account_names(),
        attempt_states=books.attempt_names(),
        form=ResolveForm(),
    )


@blueprint.post("/staff/discrepancies/<public_id>")
@permission("staff:finance_officer")
def resolve(public_id: str) -> ResponseReturnValue:
    """Close a discrepancy with a note."""
    form = ResolveForm()
    if form.validate_on_submit():
        discrepancies.resolve(public_id, note=form.note.data or "", actor_id=person().id, now=clock.now())
        flash(_("The discrepancy is closed."), "success")
    else:
        flash(_("Say what was done about it."), "error")
    return redirect(url_for("payments.desk"), 303)


@blueprint.get("/staff/orders/<public_id>")
@permission("staff:finance_officer")
def order_money(public_id: str) -> ResponseReturnValue:
    """The money of one order: payments, refunds, ledger."""
    order = books.get_order(public_id)
    return _money_page(order, RefundForm(currency=order.currency))


@blueprint.post("/staff/orders/<public_id>")
@permission("staff:finance_officer")
def refund(public_id: str) -> ResponseReturnValue:
    """Give back all or part of what was paid."""
    order = books.get_order(public_id)
    form = RefundForm(currency=order.currency)
    if not form.validate_on_submit():
        return _money_page(order, form), 422
    reason, ends, now = form.reason.data or "", form.place.data == "end", clock.now()
    try:
        refunds.request_refund(order.id, form.money, reason=reason, ends_place=ends, actor_id=person().id, now=now)
    except Refused as refusal:
        form.form_errors.append(str(refusal.message))
        return _money_page(order, form), refusal.status
    flash(_("The refund is on its way."), "success")
    return redirect(url_for("payments.order_money", public_id=public_id), 303)


def _money_page(order: Order, form: RefundForm) -> str:
    return render_template(
        "payments/order_money.html",
        order=order,
        money=books.money_of(order),
        form=form,
        states=pages.state_names(),
        timeline=pages.order_page(order, now=clock.now()).timeline,
        accounts=books.account_names(),
        refund_states=books.refund_names(),
        attempt_states=books.attempt_names(),
    )
