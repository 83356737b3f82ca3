"""Doors to what happens after the sale: a person gives up their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.enrolment import cancellations, change_pages, places, policy_pages, run_change_views
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.change_forms import CancelPlaceForm
from marketplace.enrolment.move_views import own_place
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.enrolment.models import Enrolment

# Named so that its doors are known wherever these are.
__all__ = ["run_change_views"]


@blueprint.get("/my/places/<public_id>/cancel")
@permission("own")
def cancel_place(public_id: str) -> ResponseReturnValue:
    """What goes back to whom and why, before anything is pressed."""
    return _cancel_page(own_place(public_id), CancelPlaceForm(formdata=None), refusal=None)


@blueprint.post("/my/places/<public_id>/cancel")
@permission("own")
def confirm_cancellation(public_id: str) -> ResponseReturnValue:
    """Give the place up by the terms that were shown."""
    enrolment, form = own_place(public_id), CancelPlaceForm()
    if not form.validate_on_submit():
        return _cancel_page(enrolment, form, refusal=None), 422
    place = places.look(enrolment)
    if not place.orders:
        # Pressed twice: the page tells what the first press did.
        return redirect(url_for("enrolment.cancel_place", public_id=public_id), 303)
    shown = Money(int(form.shown_minor.data or 0), place.orders[0].currency)
    reason, actor_id = form.reason.data or "", person().id
    try:
        cancellations.cancel_place(enrolment.id, shown=shown, actor_id=actor_id, reason=reason, now=clock.now())
    except Refused as refusal:
        return _cancel_page(places.get(public_id), form, refusal=refusal), refusal.status
    flash(_("Your place is cancelled. We have written to you what goes back."), "success")
    return redirect(url_for("enrolment.cancel_place", public_id=public_id), 303)


def _cancel_page(enrolment: Enrolment, form: CancelPlaceForm, *, refusal: Refused | None) -> str:
    now = clock.now()
    done = cancellations.find(enrolment)
    place, statement, lines = places.look(enrolment), None, []
    if enrolment.ended_at is None:
        try:
            statement = cancellations.state(place, now=now)
            lines = policy_pages.lines_of(statement.terms, enrolment.run, now=now)
            form.shown_minor.data = str(statement.back.minor)
        except Refused as found:
            refusal = refusal or found
    return render_template(
        "enrolment/cancel_place.html",
        enrolment=enrolment,
        run=enrolment.run,
        form=form,
        refusal=refusal,
        done=done,
        statement=statement,
        lines=lines,
        why=change_pages.why(statement) if statement else "",
        payers=change_pages.payer_names(),
    )
