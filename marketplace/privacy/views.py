"""Doors to one's own data: a copy, the deletion of the account, and the administrators' list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, redirect, render_template, url_for

from marketplace.accounts import mailed_links
from marketplace.accounts.permissions import permission, person
from marketplace.accounts.throttle import attempts_limited, mails_limited
from marketplace.enrolment import personal as places
from marketplace.foundation import clock
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.privacy import copies, erasures
from marketplace.privacy.forms import GROUNDS, DeleteForm, ErasureForm, PressForm

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.accounts.models import Person

blueprint = Blueprint("privacy", __name__)


@blueprint.route("/account/data", methods=["GET", "POST"])
@permission("signed_in")
def my_data() -> ResponseReturnValue:
    """Ask for a copy of everything known of one, and fetch it."""
    someone, form = person(), PressForm()
    if form.validate_on_submit():
        copies.ask(someone, now=clock.now())
        flash(_("Your copy is being made. We write to you when it is ready."), "success")
        return redirect(url_for("privacy.my_data"), 303)
    found = copies.list_recent(someone.id, now=clock.now())
    planned = erasures.find_planned(someone.id)
    return render_template("privacy/my_data.html", form=form, copies=found, planned=planned)


@blueprint.get("/account/data/<public_id>.zip")
@permission("own")
def data_copy(public_id: str) -> ResponseReturnValue:
    """One's own copy, as a file."""
    copy = copies.get(public_id, person().id, now=clock.now())
    headers = {"Content-Disposition": f'attachment; filename="my-data-{copy.asked_at:%Y-%m-%d}.zip"'}
    return Response(copy.content, mimetype="application/zip", headers=headers)


@blueprint.route("/account/delete", methods=["GET", "POST"])
@mails_limited
@attempts_limited
@permission("signed_in")
def delete_account() -> ResponseReturnValue:
    """Say what deleting means, and ask for it with the password; a mailed link comes next."""
    someone, form = person(), DeleteForm()
    tried = attempt(form, lambda: erasures.ask(someone, form.password.data or "", now=clock.now()))
    if tried.is_done:
        return redirect(url_for("accounts.mail_sent"), 303)
    page = render_template(
        "privacy/delete_account.html",
        form=form,
        planned=erasures.find_planned(someone.id),
        coming=places.list_coming(someone.id, now=clock.now()),
        obstacle=erasures.find_obstacle(someone.id),
    )
    return page, tried.status


@blueprint.route("/account/delete/<key>", methods=["GET", "POST"])
@attempts_limited
@permission("public")
def confirm_deletion(key: str) -> ResponseReturnValue:
    """Use the mailed link; pressing the button does it, not a mail scanner."""
    mailed_links.find(key, erasures.PURPOSE, now=clock.now())
    form = PressForm()
    if form.validate_on_submit():
        planned = erasures.confirm(key, now=clock.now())
        return render_template("privacy/deletion_planned.html", planned=planned)
    return render_template("privacy/confirm_deletion.html", form=form)


@blueprint.post("/account/delete/keep")
@permission("signed_in")
def keep_account() -> ResponseReturnValue:
    """Keep the account after all."""
    erasures.keep(person(), now=clock.now())
    flash(_("Your account stays. Nothing has been deleted."), "success")
    return redirect(url_for("privacy.my_data"), 303)


@blueprint.route("/staff/erasures", methods=["GET", "POST"])
@permission("staff:administrator")
def erasures_desk() -> ResponseReturnValue:
    """Everyone who is to be forgotten or was, and a form for those who asked by letter."""
    actor, form = person(), ErasureForm()
    tried = attempt(form, lambda: _order(form, actor))
    if tried.is_done:
        flash(_("The deletion is planned."), "success")
        return redirect(url_for("privacy.erasures_desk"), 303)
    page = render_template("privacy/erasures_desk.html", form=form, erasures=erasures.list_recent(), grounds=GROUNDS)
    return page, tried.status


def _order(form: ErasureForm, actor: Person) -> None:
    erasures.order(form.email.data or "", form.ground.data, actor=actor, is_at_once=form.at_once.data, now=clock.now())


@blueprint.post("/staff/erasures/<public_id>/cancel")
@permission("staff:administrator")
def cancel_erasure(public_id: str) -> ResponseReturnValue:
    """Take a plan back."""
    erasures.cancel(public_id, now=clock.now())
    flash(_("The account stays."), "success")
    return redirect(url_for("privacy.erasures_desk"), 303)
