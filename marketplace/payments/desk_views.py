"""Doors of the desk: the search box, the list of payments, the file of an order and what can be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.enrolment import pages
from marketplace.foundation import clock, ids
from marketplace.foundation.filling import attempt, text
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import books, debts, desk_pages, desk_search, desk_words, offline, queues, write_offs
from marketplace.payments import desk as desk_of
from marketplace.payments.blueprint import blueprint
from marketplace.payments.desk_forms import ReasonForm, TransferForm, WriteOffForm
from marketplace.payments.forms import RefundForm
from marketplace.payments.models import Purpose
from marketplace.payments.refunds import Seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue
    from flask_wtf import FlaskForm


@blueprint.get("/staff/desk")
@permission("staff:finance_officer")
def desk() -> ResponseReturnValue:
    """One box that finds any order, and how much waits in each queue."""
    query = request.args.get("q", "").strip()
    found = desk_search.search(query)
    if found.only_order is not None:
        return redirect(url_for("payments.order_money", public_id=found.only_order.public_id), 303)
    return render_template(
        "payments/desk.html",
        query=query,
        found=found,
        is_administrator="administrator" in person().staff_roles,
        most=desk_search.MOST_HITS,
        most_people=desk_search.MOST_PEOPLE,
        hit_names=desk_words.hit_names(),
        states=pages.state_names(),
        waiting=desk_pages.queue_names(),
        counts=queues.counts(),
        balances=books.list_balances(),
        accounts=books.account_names(),
    )


@blueprint.get("/staff/payments")
@permission("staff:finance_officer")
def staff_payments() -> ResponseReturnValue:
    """Attempts to pay, newest first."""
    payments, next_before = books.list_payments(before=ids.row_number(request.args.get("before", "")))
    return render_template(
        "payments/staff_payments.html",
        payments=payments,
        next_before=next_before,
        attempt_states=books.attempt_names(),
    )


@blueprint.get("/staff/orders/<public_id>")
@permission("staff:finance_officer")
def order_money(public_id: str) -> ResponseReturnValue:
    """Everything about one order: what should happen next, where its money is, what happened."""
    return _file_page(public_id)


@blueprint.post("/staff/orders/<public_id>")
@permission("staff:finance_officer")
def refund(public_id: str) -> ResponseReturnValue:
    """Give back all or part of what was paid."""
    order = books.get_order(public_id)
    form = RefundForm(currency=order.currency)
    ends = form.place.data == "end"
    if form.validate_on_submit() and desk_pages.must_show_shares(order, form, ends_place=ends):
        return _file_page(public_id, refund_form=form)

    def give_back() -> None:
        why, now = form.reason.data or "", clock.now()
        seen = Seen(form.shown.data or None, _seen(form))
        desk_of.give_back(
            order,
            form.money,
            reason=why,
            ends_place=ends,
            actor_id=person().id,
            now=now,
            seen=seen,
        )

    return _act(public_id, form, "refund_form", give_back, _("The refund is on its way."))


@blueprint.post("/staff/orders/<public_id>/transfer")
@permission("staff:finance_officer")
def enter_transfer(public_id: str) -> ResponseReturnValue:
    """Enter a bank transfer; above the limit it waits for a second officer."""
    return _enter(public_id, "transfer_form", Purpose.ORDER)


@blueprint.post("/staff/orders/<public_id>/debt")
@permission("staff:finance_officer")
def enter_debt_transfer(public_id: str) -> ResponseReturnValue:
    """Enter a bank transfer for what the learner owes; above the limit it waits for a second officer."""
    return _enter(public_id, "debt_form", Purpose.DEBT)


def _enter(public_id: str, name: str, purpose: Purpose) -> ResponseReturnValue:
    order, now = books.get_order(public_id), clock.now()
    form = TransferForm(order.total, now=now, purpose=purpose)

    def enter() -> None:
        offline.enter(order.id, form.transfer, reason=form.reason.data or "", actor_id=person().id, now=now)

    return _act(public_id, form, name, enter, _("The transfer is entered."))


@blueprint.post("/staff/orders/<public_id>/write-off")
@permission("staff:finance_officer")
def write_off(public_id: str) -> ResponseReturnValue:
    """Give up what the learner owes, or a part; above the limit it waits for a second officer."""
    order = books.get_order(public_id)
    form = WriteOffForm(order.total)

    def give_up() -> None:
        why, actor_id = form.reason.data or "", person().id
        write_offs.propose(order.id, form.money, reason=why, actor_id=actor_id, now=clock.now(), left_seen=_seen(form))

    return _act(public_id, form, "write_off_form", give_up, _("The write-off is entered."))


@blueprint.get("/staff/debts")
@permission("staff:finance_officer")
def staff_debts() -> ResponseReturnValue:
    """What learners owe for subsidies, oldest first."""
    found, next_after = debts.list_open(after=ids.row_number(request.args.get("after", "")) or 0)
    return render_template(
        "payments/staff_debts.html", debts=found, next_after=next_after, reasons=desk_words.debt_reasons()
    )


@blueprint.post("/staff/orders/<public_id>/resend")
@permission("staff:finance_officer")
def resend(public_id: str) -> ResponseReturnValue:
    """Mail the confirmation once more."""
    order, form = books.get_order(public_id), ReasonForm(prefix="resend")

    def mail_again() -> None:
        desk_of.resend_confirmation(order.id, reason=form.reason.data or "", actor_id=person().id, now=clock.now())

    return _act(public_id, form, "resend_form", mail_again, _("The confirmation is mailed again."))


def _act(public_id: str, form: FlaskForm, name: str, act: Callable[[], None], done: str) -> ResponseReturnValue:
    """Do what a form of the file asks for, or show the file with what is wrong with the form."""
    tried = attempt(form, act)
    if not tried.is_done:
        return _file_page(public_id, **{name: form}), tried.status
    flash(done, "success")
    return redirect(url_for("payments.order_money", public_id=public_id), 303)


def _seen(form: RefundForm | WriteOffForm) -> int | None:
    """What the page said that was left."""
    return int(text(form.left)) if text(form.left).isdecimal() else None


def _file_page(public_id: str, **forms: FlaskForm) -> str:
    now = clock.now()
    file = desk_of.open_file(public_id)
    given: dict[str, FlaskForm] = {
        "refund_form": RefundForm(currency=file.order.currency),
        "transfer_form": TransferForm(file.order.total, now=now),
        "resend_form": ReasonForm(prefix="resend"),
    }
    if file.debt is not None:
        given["debt_form"] = TransferForm(file.debt.left, now=now, purpose=Purpose.DEBT)
        given["write_off_form"] = WriteOffForm(file.debt.left)
    given |= forms
    # As it is now, also for a form that was refused because it had changed.
    owed = file.debt.left if file.debt is not None else None
    for name, left in (("refund_form", file.money.left), ("write_off_form", owed)):
        if left is not None:
            given[name].left.data = str(left.minor)
    return render_template(
        "payments/order_file.html",
        file=file,
        page=desk_pages.file_page(file, now=now),
        names=desk_pages.names(),
        **given,
    )
