"""Doors for paying; importing them opens the room's other doors and makes its jobs known."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import flash, redirect, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.enrolment import learning
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.payments import (
    after_sale_views,
    attempts,
    books_views,
    debts,
    desk_move_views,
    desk_views,
    invoice_views,
    ledger_sums,
    queue_views,
    reconciliation,
    revenue_views,
    sponsor_views,
    stories,
    stripe_matching,
    unmatched_views,
    webhooks,
)
from marketplace.payments.blueprint import blueprint
from marketplace.payments.models import Purpose

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

    from config import Settings
    from marketplace.enrolment.models import Order

# Named so that their doors and their jobs are known wherever the room is opened.
__all__ = [
    "after_sale_views",
    "blueprint",
    "books_views",
    "desk_move_views",
    "desk_views",
    "invoice_views",
    "ledger_sums",
    "queue_views",
    "reconciliation",
    "revenue_views",
    "sponsor_views",
    "stripe_matching",
    "unmatched_views",
    "webhooks",
]


def init_app(app: Flask, settings: Settings) -> None:
    """Let forms lead to Stripe's page, or the sandbox's, and an order's page tell of its money."""
    app.jinja_env.globals["money_story"] = stories.story_of
    app.jinja_env.globals["debt_of"] = debts.find
    app.jinja_env.globals["debts_of"] = debts.list_of
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
    return _to_page(order, Purpose.ORDER)


@blueprint.post("/orders/<public_id>/debt")
@permission("own")
def pay_debt(public_id: str) -> ResponseReturnValue:
    """Lead to Stripe's payment page for what one owes for a subsidy that was not earned."""
    order = learning.get_order(public_id, person().id)
    return _to_page(order, Purpose.DEBT)


def _to_page(order: Order, purpose: Purpose) -> ResponseReturnValue:
    page = url_for("enrolment.order", public_id=order.public_id, _external=True)
    back = url_for("payments.returned", public_id=order.public_id, _external=True)
    try:
        address = attempts.start_payment(order.id, return_url=back, cancel_url=page, now=clock.now(), purpose=purpose)
    except Refused as refusal:
        flash(str(refusal.message), "error")
        address = page
    return redirect(address, 303)


@blueprint.get("/orders/<public_id>/returned")
@permission("own")
def returned(public_id: str) -> ResponseReturnValue:
    """Where Stripe sends the person after paying: ask Stripe, then show the order as it is."""
    order = learning.get_order(public_id, person().id)
    attempts.settle_returned(order.id, now=clock.now())
    return redirect(url_for("enrolment.order", public_id=public_id), 303)
