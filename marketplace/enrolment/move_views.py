"""Doors to moving a place: to another date, or to another person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts.permissions import permission, person, require
from marketplace.catalog import offer
from marketplace.enrolment import changes, places, transfers
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.change_forms import MoveForm, TransferForm
from marketplace.enrolment.forms import PressForm
from marketplace.foundation import clock
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.enrolment.models import Enrolment


def own_place(public_id: str) -> Enrolment:
    """A place of the person signed in; those of others do not exist for them."""
    enrolment = places.get(public_id)
    require("own", owner_id=enrolment.person_id)
    return enrolment


@blueprint.get("/my/places/<public_id>/move")
@permission("own")
def move_place(public_id: str) -> ResponseReturnValue:
    """The other dates of the course, and what moving to each would cost."""
    return _move_page(own_place(public_id), refusal=None)


@blueprint.post("/my/places/<public_id>/move")
@permission("own")
def confirm_move(public_id: str) -> ResponseReturnValue:
    """Move to the date that was chosen; a dearer one leads to the order by which the difference is paid."""
    enrolment, form = own_place(public_id), MoveForm()
    if not form.validate_on_submit():
        return _move_page(enrolment, refusal=None), 422
    target = offer.get_run(form.to_run.data or "")
    shown = Money(int(form.shown_minor.data or 0), target.currency)
    try:
        change = changes.defer(
            enrolment.id, target.id, shown=shown, actor_id=person().id, locale=language(), now=clock.now()
        )
    except Refused as refusal:
        return _move_page(places.get(public_id), refusal=refusal), refusal.status
    if change.order is not None:
        return redirect(url_for("enrolment.order", public_id=change.order.public_id), 303)
    flash(_("Your place has moved to the other date."), "success")
    return redirect(url_for("enrolment.my_learning"), 303)


def _move_page(enrolment: Enrolment, *, refusal: Refused | None) -> str:
    now, found = clock.now(), []
    place = places.look(enrolment)
    try:
        changes.check_may_defer(place, now=now)
        found = changes.list_moves(place, now=now)
    except Refused as obstacle:
        refusal = refusal or obstacle
    waiting = changes.find_open(enrolment.id, now=now)
    return render_template(
        "enrolment/move_place.html",
        enrolment=enrolment,
        run=enrolment.run,
        moves=found,
        refusal=refusal,
        waiting=waiting,
        form=PressForm(),
    )


@blueprint.get("/my/places/<public_id>/transfer")
@permission("own")
def transfer_place(public_id: str) -> ResponseReturnValue:
    """Offer one's place to somebody else."""
    return _transfer_page(own_place(public_id), TransferForm(formdata=None), refusal=None)


@blueprint.post("/my/places/<public_id>/transfer")
@permission("own")
def offer_transfer(public_id: str) -> ResponseReturnValue:
    """Send the offer; the place stays mine until it is accepted."""
    enrolment, form = own_place(public_id), TransferForm()
    if not form.validate_on_submit():
        return _transfer_page(enrolment, form, refusal=None), 422
    try:
        transfers.offer(enrolment.id, form.email.data or "", actor=person(), now=clock.now())
    except Invalid as refused:
        form.email.errors = [str(refused.message)]
        return _transfer_page(enrolment, form, refusal=None), refused.status
    except Refused as refusal:
        return _transfer_page(places.get(public_id), form, refusal=refusal), refusal.status
    flash(_("The offer is sent. The place stays yours until it is accepted."), "success")
    return redirect(url_for("enrolment.transfer_place", public_id=public_id), 303)


def _transfer_page(enrolment: Enrolment, form: TransferForm, *, refusal: Refused | None) -> str:
    now = clock.now()
    try:
        transfers.check_may_transfer(places.look(enrolment), now=now)
    except Refused as obstacle:
        refusal = refusal or obstacle
    return render_template(
        "enrolment/transfer_place.html",
        enrolment=enrolment,
        run=enrolment.run,
        form=form,
        refusal=refusal,
        waiting=changes.find_open(enrolment.id, now=now),
    )


@blueprint.post("/my/transfers/<public_id>/withdraw")
@permission("own")
def withdraw_transfer(public_id: str) -> ResponseReturnValue:
    """Take an offer back."""
    transfers.withdraw(public_id, actor_id=person().id, now=clock.now())
    flash(_("The offer is taken back."), "success")
    return redirect(url_for("enrolment.my_learning"), 303)


@blueprint.get("/transfers/<key>")
@permission("signed_in")
def transfer(key: str) -> ResponseReturnValue:
    """What somebody offers me."""
    found = transfers.find(key, now=clock.now())
    return render_template("enrolment/transfer.html", change=found, run=found.to_run, form=PressForm(), key=key)


@blueprint.post("/transfers/<key>")
@permission("signed_in")
def accept_transfer(key: str) -> ResponseReturnValue:
    """Take the place over."""
    try:
        transfers.accept(key, person=person(), now=clock.now())
    except Refused as refusal:
        flash(str(refusal.message), "error")
        return redirect(url_for("enrolment.my_learning"), 303)
    flash(_("The place is yours now."), "success")
    return redirect(url_for("enrolment.my_learning"), 303)


@blueprint.post("/transfers/<key>/refuse")
@permission("signed_in")
def refuse_transfer(key: str) -> ResponseReturnValue:
    """Leave the place where it is."""
    transfers.refuse(key, person=person(), now=clock.now())
    flash(_("You have not taken the place."), "success")
    return redirect(url_for("enrolment.my_learning"), 303)
