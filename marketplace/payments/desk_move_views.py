"""The door by which the desk moves an order to another run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.enrolment.places import PlaceEnded
from marketplace.foundation import clock
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import books, desk_moves
from marketplace.payments.blueprint import blueprint
from marketplace.payments.desk_forms import MoveOrderForm

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.enrolment.models import Order


@blueprint.route("/staff/orders/<public_id>/move", methods=["GET", "POST"])
@permission("staff:finance_officer")
def move_order(public_id: str) -> ResponseReturnValue:
    """The other runs of the course with what goes back for each; the place moves when one is chosen."""
    order, now, actor_id = books.get_order(public_id), clock.now(), person().id
    try:
        found = desk_moves.list_moves(order, now=now)
    except PlaceEnded as refused:
        flash(str(refused.message), "error")
        return redirect(url_for("payments.order_money", public_id=public_id), 303)
    form = MoveOrderForm()
    form.offer(found)
    tried = attempt(form, lambda: _move(order, form, actor_id=actor_id))
    if tried.is_done:
        flash(_("The order has moved to the other run; the learner is told by mail."), "success")
        return redirect(url_for("payments.order_money", public_id=public_id), 303)
    page = render_template("payments/move_order.html", order=order, line=order.lines[0], moves=found, form=form)
    return page, tried.status


def _move(order: Order, form: MoveOrderForm, *, actor_id: int) -> object:
    chosen, why = form.chosen, form.reason.data or ""
    return desk_moves.move(order, chosen.run, shown=chosen.difference, reason=why, actor_id=actor_id, now=clock.now())
