"""The administrators' doors: staff and their roles, and opening organisations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for

from marketplace.accounts import names, organisations, staff
from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.forms import attempt, text
from marketplace.accounts.organisation_forms import NewOrganisationForm, RoleTakenForm, StaffRoleForm
from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/staff/people")
@permission("staff:administrator")
def staff_people() -> ResponseReturnValue:
    """The staff with their roles, and a search for people to appoint."""
    words = request.args.get("q", "")
    return render_template(
        "accounts/staff_people.html",
        staff=staff.list_staff(),
        found=staff.search_people(words),
        words=words,
        role_names=names.STAFF_ROLES,
        duties=[(names.STAFF_ROLES[role], duty) for role, duty in names.STAFF_DUTIES.items()],
        role_form=StaffRoleForm(formdata=None),
    )


@blueprint.post("/staff/people/<public_id>/roles")
@permission("staff:administrator")
def appoint(public_id: str) -> ResponseReturnValue:
    """Give a person a staff role."""
    form = StaffRoleForm()
    if not form.validate_on_submit():
        abort(400)
    staff.appoint(staff.get_person(public_id), text(form.role), actor=person(), now=clock.now())
    flash(_("The role is given."), "success")
    return redirect(url_for("accounts.staff_people"), 303)


@blueprint.post("/staff/people/<public_id>/roles/take")
@permission("staff:administrator")
def dismiss(public_id: str) -> ResponseReturnValue:
    """Take a staff role from a person."""
    form = RoleTakenForm()
    if not form.validate_on_submit():
        abort(400)
    try:
        staff.dismiss(staff.get_person(public_id), text(form.role), actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    return redirect(url_for("accounts.staff_people"), 303)


@blueprint.route("/staff/organisations", methods=["GET", "POST"])
@permission("staff:administrator")
def staff_organisations() -> ResponseReturnValue:
    """All organisations, and a form that opens one and invites its first owner."""
    form, actor = NewOrganisationForm(), person()
    tried = attempt(
        form,
        lambda: organisations.create(form.values(), owner_email=text(form.owner_email), actor=actor, now=clock.now()),
    )
    if tried.is_done:
        flash(_("The organisation is open, and its owner is invited."), "success")
        return redirect(url_for("accounts.staff_organisations"), 303)
    every, kinds = organisations.list_all(), names.ORGANISATION_KINDS
    page = render_template("accounts/staff_organisations.html", form=form, organisations=every, kinds=kinds)
    return page, tried.status
