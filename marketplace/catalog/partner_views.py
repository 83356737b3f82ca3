"""Doors to teaching together: ask a partner, answer, leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person, require
from marketplace.catalog import offer
from marketplace.catalog import partners as verbs
from marketplace.catalog.authoring_forms import AnswerForm, PartnerForm
from marketplace.catalog.authoring_views import WRITES, own_course
from marketplace.catalog.blueprint import blueprint
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.filling import attempt, choice, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import pick

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/desk/courses/<public_id>/partners", methods=["GET", "POST"])
@permission(WRITES)
def partners(public_id: str) -> ResponseReturnValue:
    """Who provides the course, who was asked; the lead asks more of them."""
    course, actor = own_course(public_id), person()
    is_lead = "editor" in actor.roles_in(course.lead_ids)
    if request.method == "POST":
        require(WRITES, organisation_ids=course.lead_ids)
    words = request.args.get("q", "")
    form = PartnerForm()
    found = verbs.find_providers(words, course=course)
    form.organisation.choices = [choice(row.public_id, str(pick(row, "name"))) for row in found]
    duties = {name: text(form[name]).strip() for name in ("duties_zh", "duties_en")}
    tried = attempt(
        form,
        lambda: verbs.invite(course.id, text(form.organisation), duties, actor=actor, now=clock.now()),
    )
    if tried.is_done:
        flash(_("They are asked. They will be named on the course once they accept."), "success")
        return redirect(url_for("catalog.partners", public_id=public_id), 303)
    asked = verbs.list_asked_by(course.id)
    page = render_template(
        "catalog/partners.html", course=course, form=form, words=words, asked=asked, found=found, is_lead=is_lead
    )
    return page, tried.status


@blueprint.post("/desk/courses/<public_id>/partners/<organisation_id>/leave")
@permission(WRITES)
def leave_course(public_id: str, organisation_id: str) -> ResponseReturnValue:
    """Name a partner no longer: the lead's to decide, or the partner's own."""
    course, organisation = own_course(public_id), offer.get_provider(organisation_id)
    require(WRITES, organisation_ids=[*course.lead_ids, organisation.id])
    try:
        verbs.leave(course.id, organisation.id, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    else:
        flash(_("The organisation is no longer named on the course."), "success")
    if person().roles_in(course.lead_ids):
        return redirect(url_for("catalog.partners", public_id=public_id), 303)
    return redirect(url_for("catalog.desk", public_id=organisation_id), 303)


@blueprint.post("/desk/invitations/<public_id>/answer")
@permission(WRITES)
def answer_invitation(public_id: str) -> ResponseReturnValue:
    """Accept or decline to teach a course together."""
    invitation, form = verbs.get_invitation(public_id), AnswerForm()
    require(WRITES, organisation_ids=[invitation.organisation_id])
    if not form.validate_on_submit():
        abort(400)
    accepts = form.answer.data == "accept"
    try:
        verbs.answer(invitation.id, accepts=accepts, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    else:
        flash(_("You provide this course now.") if accepts else _("You declined."), "success")
    return redirect(url_for("catalog.desk", public_id=invitation.organisation.public_id), 303)


@blueprint.post("/desk/invitations/<public_id>/withdraw")
@permission(WRITES)
def withdraw_partner_invitation(public_id: str) -> ResponseReturnValue:
    """Take a question back."""
    invitation = verbs.get_invitation(public_id)
    require(WRITES, organisation_ids=invitation.course.lead_ids)
    try:
        verbs.withdraw_invitation(invitation.id, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    return redirect(url_for("catalog.partners", public_id=invitation.course.public_id), 303)
