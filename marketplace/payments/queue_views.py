"""Doors of the queues: what waits for staff, each thing to be tried again or closed with a note; reconciliation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import bank_days, clock, ids
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.filling import attempt, text
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import (
    books,
    desk_pages,
    offline,
    queues,
    sponsors,
    stripe_feeds,
    stripe_lists,
    stripe_matching,
    unmatched,
    write_offs,
)
from marketplace.payments.blueprint import blueprint
from marketplace.payments.desk_forms import BankRefundForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue


@blueprint.get("/staff/queues")
@permission("staff:finance_officer")
def staff_queues() -> ResponseReturnValue:
    """Everything that waits for finance staff, the beginning of each queue; with `queue` that one alone, further on."""
    return _queues_page(request.args.get("queue", ""), after=ids.row_number(request.args.get("after", "")) or 0)


def _queues_page(queue: str, *, after: int, refused: tuple[str, BankRefundForm] | None = None) -> str:
    """The queues, or one of them; what was refused about a refund stands filled in at that refund."""
    pages = queues.list_waiting(queue, after=after)
    strays = pages["unmatched"].rows if "unmatched" in pages else []
    return render_template(
        "payments/queues.html",
        queue=queue,
        counts=queues.counts(),
        names=desk_pages.queue_names(),
        pages=pages,
        answers=unmatched.standing([one.id for one in strays]),
        kinds=books.discrepancy_names(),
        event_names=desk_pages.event_names(),
        job_names=desk_pages.job_names(),
        dispute_states=desk_pages.dispute_names(),
        person=person(),
        refused=refused,
        today=bank_days.day_of(clock.now()),
        retriable=queues.RETRIABLE,
        unmatched=queues.UNMATCHED,
    )


@blueprint.post("/staff/queues/<kind>/<reference>")
@permission("staff:finance_officer")
def treat(kind: str, reference: str) -> ResponseReturnValue:
    """Try a thing in a queue again, or close it with a note."""
    if (kind, request.form.get("act", "")) == ("refund", "sent"):
        return _refund_sent(reference)
    number = _number(reference) if kind in {"event", "job"} else 0
    acts = {
        ("discrepancy", "retry"): lambda note: queues.retry_discrepancy(reference, **note),
        ("discrepancy", "resolve"): lambda note: queues.resolve_discrepancy(reference, **note),
        ("event", "retry"): lambda note: queues.retry_event(number, **note),
        ("event", "resolve"): lambda note: queues.resolve_event(number, **note),
        ("job", "retry"): lambda note: queues.retry_job(number, **note),
        ("job", "resolve"): lambda note: queues.resolve_job(number, **note),
        ("unmatched", "approve"): lambda note: unmatched.approve(reference, **note),
        ("unmatched", "decline"): lambda note: unmatched.decline(reference, **note),
        ("transfer", "approve"): lambda note: offline.approve(reference, **note),
        ("transfer", "decline"): lambda note: offline.decline(reference, **note),
        ("sponsor_payment", "approve"): lambda note: sponsors.approve(reference, **note),
        ("sponsor_payment", "decline"): lambda note: sponsors.decline(reference, **note),
        ("write_off", "approve"): lambda note: write_offs.approve(reference, **note),
        ("write_off", "decline"): lambda note: write_offs.decline(reference, **note),
    }
    act = acts.get((kind, request.form.get("act", "")))
    if act is None:
        raise NotFound
    return _noted(act)


def _refund_sent(reference: str) -> ResponseReturnValue:
    """Note a refund as sent at the bank; what was filled in wrongly is shown again as it was."""
    form, note = BankRefundForm(), _note()
    tried = attempt(
        form,
        lambda: offline.refund_sent(reference, bank_reference=text(form.bank_reference), sent_on=form.day, **note),
    )
    if tried.is_done:
        flash(_("Done, and noted."), "success")
    elif tried.refused is None or isinstance(tried.refused, Invalid):
        after = queues.before_bank_refund(reference)
        return _queues_page("bank_refunds", after=after, refused=(reference, form)), tried.status
    else:
        flash(str(tried.refused.message), "error")
    return redirect(url_for("payments.staff_queues"), 303)


def _number(reference: str) -> int:
    number = ids.row_number(reference)
    if number is None:
        raise NotFound
    return number


def _note() -> dict[str, Any]:
    return {"reason": request.form.get("reason", ""), "actor_id": person().id, "now": clock.now()}


def _noted(act: Callable[[dict[str, Any]], object]) -> ResponseReturnValue:
    """Do an act with the note that was entered, and lead back to where it was asked for."""
    try:
        result = act(_note())
    except Refused as refusal:
        flash(str(refusal.message), "error")
    else:
        flash(_("It still does not add up.") if result is False else _("Done, and noted."), "success")
    order = request.form.get("order", "")
    back = url_for("payments.order_money", public_id=order) if order else url_for("payments.staff_queues")
    return redirect(back, 303)


@blueprint.get("/staff/reconciliation")
@permission("staff:finance_officer")
def reconciliation_page() -> ResponseReturnValue:
    """How far Stripe's lists are read, its payouts, and its movements with the facts of ours."""
    movements, next_before = stripe_lists.list_movements(before=ids.row_number(request.args.get("before", "")))
    return render_template(
        "payments/reconciliation.html",
        feeds=stripe_feeds.list_feeds(),
        payouts=stripe_lists.list_payouts(),
        movements=movements,
        orders=stripe_lists.order_numbers(movements),
        next_before=next_before,
        names=desk_pages.movement_names(),
        kinds=desk_pages.movement_kinds(),
    )


@blueprint.post("/staff/reconciliation")
@permission("staff:finance_officer")
def reconcile_now() -> ResponseReturnValue:
    """Have the lists read now, by a job."""
    stripe_matching.reconcile_soon()
    flash(_("The books are being held against Stripe. Look again in a minute."), "success")
    return redirect(url_for("payments.reconciliation_page"), 303)
