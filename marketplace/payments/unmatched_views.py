"""Doors of money that belongs to nothing: record what came at the bank, and say what any of it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import bank_days, clock
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import books, sponsors, unmatched
from marketplace.payments.blueprint import blueprint
from marketplace.payments.unmatched_forms import AnswerForm, BankMoneyForm, kind_names

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/staff/bank-money", methods=["GET", "POST"])
@permission("staff:finance_officer")
def bank_money() -> ResponseReturnValue:
    """Record a bank transfer that fits no order; it waits among the money without a fact."""
    now, actor_id = clock.now(), person().id
    form = BankMoneyForm(data={"received_on": bank_days.day_of(now)})
    tried = attempt(
        form, lambda: unmatched.record(form.received, reason=form.reason.data or "", actor_id=actor_id, now=now)
    )
    if tried.is_done:
        flash(_("The money is recorded. Say what it is as soon as you know."), "success")
        return redirect(url_for("payments.staff_queues", _anchor="unmatched"), 303)
    return render_template("payments/bank_money.html", form=form), tried.status


@blueprint.route("/staff/unmatched/<public_id>", methods=["GET", "POST"])
@permission("staff:finance_officer")
def unmatched_money(public_id: str) -> ResponseReturnValue:
    """Money without a fact: what is known of it, and what staff say that it is."""
    found = unmatched.get(public_id)
    form = AnswerForm()
    form.offer(unmatched.kinds_for(found), sponsors.list_sponsors())
    actor_id = person().id
    tried = attempt(
        form,
        lambda: unmatched.answer(
            public_id, form.said, reason=form.reason.data or "", actor_id=actor_id, now=clock.now()
        ),
    )
    if tried.is_done:
        flash(_("Done, and noted."), "success")
        return redirect(url_for("payments.unmatched_money", public_id=public_id), 303)
    page = render_template(
        "payments/unmatched_money.html",
        found=found,
        parked=unmatched.parked(found),
        money=unmatched.find_bank_money(found),
        answer=unmatched.standing([found.id]).get(found.id),
        kinds=kind_names(),
        names=books.discrepancy_names(),
        person=person(),
        form=form,
    )
    return page, tried.status
