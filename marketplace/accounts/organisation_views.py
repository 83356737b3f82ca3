"""The doors of an organisation: its members, their roles, and invitations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, url_for

from marketplace.accounts import invitation_lists, names, organisations
from marketplace.accounts.blueprint import blueprint
from marketplace.accounts.forms import PressForm, attempt, text
from marketplace.accounts.models import Organisation
from marketplace.accounts.organisation_forms import (
    DUTIES,
    InviteForm,
    InviteManyForm,
    LogoForm,
    MemberRoleForm,
    OrganisationForm,
    RoleTakenForm,
)
from marketplace.accounts.permissions import ACTING, permission, person, require
from marketplace.accounts.throttle import attempts_limited
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import pick

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


def _mine(public_id: str, permission_text: str = "member:owner") -> Organisation:
    """The organisation if the person signed in has the role there; for everyone else it does not exist."""
    organisation = organisations.get(public_id)
    require(permission_text, organisation_ids=[organisation.id])
    return organisation


def _to_members(organisation: Organisation) -> ResponseReturnValue:
    return redirect(url_for("accounts.members", public_id=organisation.public_id), 303)


def _members_page(organisation: Organisation, invite_form: InviteForm, status: int = 200) -> ResponseReturnValue:
    return render_template(
        "accounts/members.html",
        organisation=organisation,
        memberships=organisations.list_members(organisation),
        invitations=organisations.list_invitations(organisation),
        is_owner="owner" in person().roles_in([organisation.id]),
        role_names=names.MEMBER_ROLES,
        duties=DUTIES,
        invite_form=invite_form,
        role_form=MemberRoleForm(formdata=None),
        press=PressForm(formdata=None),
    ), status


@blueprint.get("/organisations/<public_id>/members")
@permission("member")
def members(public_id: str) -> ResponseReturnValue:
    """Who acts for the organisation; its owners may change that here."""
    return _members_page(_mine(public_id, "member"), InviteForm())


@blueprint.post("/organisations/<public_id>/invitations")
@attempts_limited
@permission("member:owner")
def invite(public_id: str) -> ResponseReturnValue:
    """Offer a role to an address."""
    organisation, form, actor = _mine(public_id), InviteForm(), person()
    email, role = text(form.email), text(form.role)
    tried = attempt(
        form,
        lambda: organisations.invite(organisation, email=email, role=role, actor=actor, now=clock.now()),
    )
    if tried.is_done:
        flash(_("The invitation is on its way."), "success")
        return _to_members(organisation)
    return _members_page(organisation, form, tried.status)


@blueprint.post("/organisations/<public_id>/invitations/<invitation_id>/withdraw")
@permission("member:owner")
def withdraw_invitation(public_id: str, invitation_id: str) -> ResponseReturnValue:
    """Take an offer back."""
    organisation = _mine(public_id)
    organisations.withdraw(organisation, invitation_id, actor=person(), now=clock.now())
    flash(_("The invitation is withdrawn."), "success")
    return _to_members(organisation)


@blueprint.post("/organisations/<public_id>/members/<person_id>/roles")
@permission("member:owner")
def give_role(public_id: str, person_id: str) -> ResponseReturnValue:
    """Give a member one more role."""
    organisation, form = _mine(public_id), MemberRoleForm()
    if not form.validate_on_submit():
        abort(400)
    try:
        organisations.add_role(organisation, person_id, text(form.role), actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    return _to_members(organisation)


@blueprint.post("/organisations/<public_id>/members/<person_id>/roles/take")
@permission("member:owner")
def take_role(public_id: str, person_id: str) -> ResponseReturnValue:
    """Take a role from a member."""
    organisation, form = _mine(public_id), RoleTakenForm()
    if not form.validate_on_submit():
        abort(400)
    try:
        organisations.remove_role(organisation, person_id, text(form.role), actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    return _to_members(organisation)


@blueprint.route("/organisations/<public_id>/edit", methods=["GET", "POST"])
@permission("member:owner")
def edit_organisation(public_id: str) -> ResponseReturnValue:
    """Change what the organisation says of itself; its kind is the programme's to change."""
    organisation, actor = _mine(public_id), person()
    form = OrganisationForm(obj=organisation)
    del form.kind
    tried = attempt(form, lambda: organisations.update(organisation, form.values(), actor=actor, now=clock.now()))
    if tried.is_done:
        flash(_("The organisation is saved."), "success")
        return _to_members(organisation)
    page = render_template("accounts/edit_organisation.html", form=form, organisation=organisation)
    return page, tried.status


@blueprint.route("/organisations/<public_id>/logo", methods=["GET", "POST"])
@permission("member:owner")
def organisation_logo(public_id: str) -> ResponseReturnValue:
    """Show a logo beside the organisation's name."""
    organisation, form, actor = _mine(public_id), LogoForm(), person()
    tried = attempt(
        form, lambda: organisations.set_logo(organisation, form.file.data.read(), actor=actor, now=clock.now())
    )
    if tried.is_done:
        flash(_("The logo is saved. It appears in some seconds."), "success")
        return redirect(url_for("accounts.organisation_logo", public_id=public_id), 303)
    return render_template("accounts/organisation_logo.html", form=form, organisation=organisation), tried.status


@blueprint.post("/organisations/<public_id>/logo/remove")
@permission("member:owner")
def remove_logo(public_id: str) -> ResponseReturnValue:
    """Show no logo."""
    organisations.set_logo(_mine(public_id), None, actor=person(), now=clock.now())
    flash(_("The logo is removed."), "success")
    return redirect(url_for("accounts.organisation_logo", public_id=public_id), 303)


@blueprint.route("/invitations/<key>", methods=["GET", "POST"])
@attempts_limited
@permission("signed_in")
def invitation(key: str) -> ResponseReturnValue:
    """Show an offer and take it."""
    offer = organisations.find_invitation(key, now=clock.now())
    form = PressForm()
    if form.validate_on_submit():
        organisation = organisations.accept(key, person=person(), now=clock.now())
        flash(_("You now act for %(organisation)s.", organisation=pick(organisation, "name")), "success")
        acts = person().roles_in([organisation.id]) & ACTING
        return _to_members(organisation) if acts else redirect(url_for("accounts.my_agreements"), 303)
    role = names.MEMBER_ROLES[offer.role]  # type: ignore[index]
    return render_template("accounts/invitation.html", invitation=offer, role=role, person=person(), form=form)


@blueprint.route("/organisations/<public_id>/invitations/file", methods=["GET", "POST"])
@attempts_limited
@permission("member:owner")
def invite_many(public_id: str) -> ResponseReturnValue:
    """Invite everyone in a spreadsheet, and show what became of each row."""
    organisation, form, actor = _mine(public_id), InviteManyForm(), person()
    content = form.file.data.read() if form.is_submitted() and form.file.data else b""
    role = text(form.role)
    tried = attempt(
        form,
        lambda: invitation_lists.invite_all(organisation, content, role=role, actor=actor, now=clock.now()),
    )
    page = render_template("accounts/invite_many.html", organisation=organisation, form=form, results=tried.result)
    return page, 200 if tried.is_done else tried.status


@blueprint.post("/organisations/<public_id>/leave")
@permission("own")
def leave_organisation(public_id: str) -> ResponseReturnValue:
    """Leave an organisation of one's own; what was shared with it ends."""
    organisation = organisations.get(public_id)
    try:
        organisations.leave(organisation, person(), now=clock.now())
    except organisations.LastOwner as refused:
        flash(str(refused.message), "error")
    else:
        flash(_("You have left %(organisation)s.", organisation=pick(organisation, "name")), "success")
    return redirect(url_for("accounts.profile"), 303)
