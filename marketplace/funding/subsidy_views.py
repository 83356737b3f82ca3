"""Doors of the funding officer to subsidies: applications and refusals, and one with its evidence and acts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, send_file, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.funding import (
    clawing_back,
    programmes,
    subsidies,
    subsidy_lists,
    subsidy_names,
    subsidy_pages,
    subsidy_states,
)
from marketplace.funding.blueprint import blueprint
from marketplace.funding.clawing_back import Sending
from marketplace.funding.subsidy_forms import ApproveForm, ClawBackForm, ExtendForm, FileForm, RejectForm, SendBackForm
from marketplace.funding.subsidy_lists import Filter
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue
    from flask_wtf import FlaskForm

OFFICER = "staff:funding_officer"


@blueprint.get("/staff/funding/<public_id>/applications")
@permission(OFFICER)
def applications(public_id: str) -> ResponseReturnValue:
    """What was applied for and reserved, newest first, by state and words."""
    programme = programmes.get(public_id)
    state = request.args.get("state", "")
    wish = Filter(
        state=state if state in set(State) else "",
        words=request.args.get("words", "").strip()[:100],
        before=request.args.get("before", type=int),
    )
    found, next_before = subsidy_lists.list_page(programme.id, wish)
    return render_template(
        "funding/applications.html",
        programme=programme,
        wish=wish,
        subsidies=found,
        next_before=next_before,
        states=subsidy_names.states(),
    )


@blueprint.get("/staff/funding/<public_id>/refusals")
@permission(OFFICER)
def refusals(public_id: str) -> ResponseReturnValue:
    """Attempts that the programme refused, with the facts used and every reason."""
    programme = programmes.get(public_id)
    found, next_before = subsidy_lists.list_refusals(programme.id, before=request.args.get("before", type=int))
    return render_template(
        "funding/refusals.html",
        programme=programme,
        attempts=[(one, subsidy_pages.told(one)) for one in found],
        next_before=next_before,
        refusals=subsidy_pages.refusals(),
    )


@blueprint.get("/staff/subsidies/<public_id>")
@permission(OFFICER)
def application(public_id: str) -> ResponseReturnValue:
    """One subsidy: who, what, by which rule and facts, its evidence and steps, and what can be done next."""
    return _application_page(public_id, None)


@blueprint.post("/staff/subsidies/<public_id>/approve")
@permission(OFFICER)
def approve_application(public_id: str) -> ResponseReturnValue:
    """Accept an application after its review."""
    form = ApproveForm()
    return _decide(
        public_id,
        form,
        lambda subsidy_id: subsidies.approve(
            subsidy_id, note=form.note.data or "", actor_id=person().id, now=clock.now()
        ),
        _("Approved. The person has been told by mail."),
    )


@blueprint.post("/staff/subsidies/<public_id>/reject")
@permission(OFFICER)
def reject_application(public_id: str) -> ResponseReturnValue:
    """Refuse an application, a reservation or a claimed line."""
    form = RejectForm()
    return _decide(
        public_id,
        form,
        lambda subsidy_id: subsidies.reject(
            subsidy_id, reason=form.reason.data or "", actor_id=person().id, now=clock.now()
        ),
        _("Rejected. The person has been told by mail."),
    )


@blueprint.post("/staff/subsidies/<public_id>/extend")
@permission(OFFICER)
def extend_deadline(public_id: str) -> ResponseReturnValue:
    """Give more time to meet the conditions, or to claim."""
    form = ExtendForm()
    return _decide(
        public_id,
        form,
        lambda subsidy_id: subsidies.extend(
            subsidy_id,
            form.last_day.data or clock.now().date(),
            reason=form.reason.data or "",
            actor_id=person().id,
            now=clock.now(),
        ),
        _("The deadline is extended."),
    )


@blueprint.post("/staff/subsidies/<public_id>/claw-back")
@permission(OFFICER)
def claw_back_subsidy(public_id: str) -> ResponseReturnValue:
    """Note that the funder takes back what it paid."""
    form = ClawBackForm()
    return _decide(
        public_id,
        form,
        lambda subsidy_id: clawing_back.claw_back(
            subsidy_id, reason=form.reason.data or "", actor_id=person().id, now=clock.now()
        ),
        _("It is owed back to the funder. The person has been told by mail."),
    )


@blueprint.post("/staff/subsidies/<public_id>/send-back")
@permission(OFFICER)
def send_back_subsidy(public_id: str) -> ResponseReturnValue:
    """Note that the money was sent back to the funder."""
    form = SendBackForm()
    return _decide(
        public_id,
        form,
        lambda subsidy_id: clawing_back.send_back(
            subsidy_id,
            Sending(
                form.sent_on.data or clock.now().date(),
                form.bank_reference.data or "",
                form.reason.data or "",
                request.form.get("owed_back", type=int),
            ),
            actor_id=person().id,
            now=clock.now(),
        ),
        _("It is noted as sent back to the funder."),
    )


@blueprint.post("/staff/subsidies/<public_id>/files")
@permission(OFFICER)
def add_evidence(public_id: str) -> ResponseReturnValue:
    """Add a document to the evidence."""
    form = FileForm()
    return _decide(
        public_id,
        form,
        lambda subsidy_id: subsidy_lists.add_file(
            subsidy_id,
            file_name=form.file.data.filename,
            content=form.file.data.read(),
            actor_id=person().id,
            now=clock.now(),
        ),
        _("The document is added."),
    )


@blueprint.get("/staff/subsidy-files/<public_id>")
@permission(OFFICER)
def evidence_file(public_id: str) -> ResponseReturnValue:
    """A document as it came, to be saved and never shown in the page."""
    found = subsidy_lists.get_file(public_id)
    content = io.BytesIO(found.content)
    return send_file(content, "application/octet-stream", as_attachment=True, download_name=found.file_name)


def _decide(
    public_id: str, form: FlaskForm, act: Callable[[int], object], done: str
) -> ResponseReturnValue:  # fmt: skip
    subsidy = subsidy_lists.get(public_id)
    subsidy_id = subsidy.id
    if request.form.get("seen", subsidy.state) != subsidy.state:
        # Rejecting means another thing, and costs the learner something else, than when the page was written.
        flash(_("This has moved on since you opened the page. Please look at it again."), "error")
        return redirect(url_for("funding.application", public_id=public_id), 303)
    tried = attempt(form, lambda: act(subsidy_id))
    if not tried.is_done:
        return _application_page(public_id, form), tried.status
    flash(done, "success")
    return redirect(url_for("funding.application", public_id=public_id), 303)


def _application_page(public_id: str, wrong: FlaskForm | None) -> str:
    subsidy = subsidy_lists.get(public_id)
    acts = {act for source, act, _to in subsidy_states.TRANSITIONS if source == subsidy.state}
    forms = {form.__class__: form for form in [wrong] if form}
    return render_template(
        "funding/application.html",
        subsidy=subsidy,
        rule=subsidy.rule_version.rule,
        reasons=subsidy_pages.told(subsidy.attempt),
        # What orders do by themselves is not an officer's to do.
        possible=acts - {"release", "reinstate"},
        is_own=subsidy.person_id == person().id,
        may_extend=subsidy.state in {State.APPLIED, State.RESERVED, State.EARNED},
        wrong=wrong,
        approve=forms.get(ApproveForm) or ApproveForm(formdata=None),
        reject=forms.get(RejectForm) or RejectForm(formdata=None),
        extend=forms.get(ExtendForm) or ExtendForm(formdata=None),
        claw_back=forms.get(ClawBackForm) or ClawBackForm(formdata=None),
        send_back=forms.get(SendBackForm) or SendBackForm(formdata=None),
        add=forms.get(FileForm) or FileForm(formdata=None),
        states=subsidy_names.states(),
        acts=subsidy_names.acts(),
        names=subsidy_names,
        pages=subsidy_pages,
    )
