"""Doors to changed runs: for those who run them, and for those who are in them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from flask import Response, flash, redirect, render_template, request, url_for

from marketplace.accounts.models import MemberRole
from marketplace.accounts.permissions import permission, person, require
from marketplace.catalog import offer
from marketplace.enrolment import change_pages, changes, claims, minimums, places, run_changes
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.change_forms import ChoiceForm, MinimumForm, RunChangeForm
from marketplace.enrolment.run_change_rules import Choice, RunChangeKind
from marketplace.enrolment.run_changes import Wanted
from marketplace.foundation import clock
from marketplace.foundation.errors import Forbidden, NotFound, Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.money import Money
from marketplace.foundation.spreadsheets import harmless

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.run_change_models import RunChange, RunChangeAnswer

CHANGES = ("staff:finance_officer", "provider:registrar|editor")


def _run(public_id: str) -> CourseRun:
    run = offer.get_run(public_id)
    require(*CHANGES, organisation_ids=run.course.organisation_ids)
    return run


def _change(public_id: str) -> RunChange:
    change = run_changes.get(public_id)
    _run(change.run.public_id)
    return change


@blueprint.get("/manage/runs/<public_id>/changes")
@permission("signed_in")
def run_change(public_id: str) -> ResponseReturnValue:
    """Cancel or move a run, decide about its minimum, and what was done before."""
    return _run_page(_run(public_id), RunChangeForm(formdata=None), MinimumForm(formdata=None))


@blueprint.post("/manage/runs/<public_id>/changes")
@permission("signed_in")
def announce_change(public_id: str) -> ResponseReturnValue:
    """Change the run, and let a job tell everyone."""
    run, form = _run(public_id), RunChangeForm()
    if not form.validate_on_submit():
        return _run_page(run, form, MinimumForm(formdata=None)), 422
    wanted = Wanted(
        RunChangeKind(form.kind.data or ""),
        form.reason.data or "",
        starts_at=form.moment_in(run.tzinfo),
        place_zh=form.place_zh.data or "",
        place_en=form.place_en.data or "",
        target_run_id=_find_run(form.target.data),
    )
    try:
        change = run_changes.announce(run.id, wanted, actor_id=person().id, now=clock.now())
    except Refused as refusal:
        form.form_errors.append(str(refusal.message))
        return _run_page(run, form, MinimumForm(formdata=None)), refusal.status
    return redirect(url_for("enrolment.run_change_progress", public_id=change.public_id), 303)


def _find_run(public_id: str | None) -> int | None:
    return offer.get_run(public_id).id if public_id else None


@blueprint.post("/manage/runs/<public_id>/minimum")
@permission("signed_in")
def set_minimum(public_id: str) -> ResponseReturnValue:
    """Say from how many people on the run takes place, and by when that is decided."""
    run, form = _run(public_id), MinimumForm()
    if not form.validate_on_submit():
        return _run_page(run, RunChangeForm(formdata=None), form), 422
    try:
        moment = form.moment_in(run.zone)
        minimums.set_minimum(run.id, form.minimum.data or 0, decide_by=moment, now=clock.now())
    except Refused as refusal:
        form.form_errors.append(str(refusal.message))
        return _run_page(run, RunChangeForm(formdata=None), form), refusal.status
    flash(_("The minimum is set."), "success")
    return redirect(url_for("enrolment.run_change", public_id=public_id), 303)


@blueprint.post("/manage/runs/<public_id>/decision")
@permission("signed_in")
def decide_minimum(public_id: str) -> ResponseReturnValue:
    """Confirm, merge or cancel a run that has a minimum."""
    run = _run(public_id)
    target_id = _find_run(request.form.get("target"))
    decision = request.form.get("decision", "")
    try:
        minimums.decide(run.id, decision, target_run_id=target_id, actor_id=person().id, now=clock.now())
    except Refused as refusal:
        flash(str(refusal.message), "error")
    else:
        flash(_("The decision is recorded."), "success")
    return redirect(url_for("enrolment.run_change", public_id=public_id), 303)


def _run_page(run: CourseRun, form: RunChangeForm, minimum_form: MinimumForm) -> str:
    now = clock.now()
    others = [other for other in run.course.runs if run_changes.takes_in(other, run, now=now)]
    try:
        minimum = minimums.get(run.id)
    except NotFound:
        minimum = None
    subsidised, promised = claims.promised_in(run.id)
    return render_template(
        "enrolment/run_change.html",
        run=run,
        subsidised=subsidised,
        promised=Money(promised, run.currency),
        form=form,
        minimum_form=minimum_form,
        minimum=minimum,
        people=len(places.list_active(run.id)),
        others=others,
        changes=run_changes.list_of_run(run.id),
        kinds=change_pages.run_change_names(),
    )


@blueprint.get("/manage/decisions")
@permission("signed_in")
def decisions() -> ResponseReturnValue:
    """Runs with a minimum that wait for a decision: of my providers, or all for finance staff."""
    someone = person()
    wanted = {MemberRole.OWNER, MemberRole.REGISTRAR, MemberRole.EDITOR}
    mine = {membership.organisation_id for membership in someone.memberships if membership.role in wanted}
    is_staff = someone.has_role("finance_officer")
    if not is_staff and not mine:
        raise Forbidden
    rows = minimums.list_open(None if is_staff else mine, now=clock.now())
    return render_template("enrolment/decisions.html", rows=rows, most=minimums.MOST_SHOWN)


@blueprint.get("/manage/run-changes/<public_id>")
@permission("signed_in")
def run_change_progress(public_id: str) -> ResponseReturnValue:
    """How far the telling and settling of everyone is, and who could not be settled."""
    change = _change(public_id)
    return render_template(
        "enrolment/run_change_progress.html",
        change=change,
        run=change.run,
        answers=run_changes.list_answers(change.id),
        failed=run_changes.count_failed(change.id),
        kinds=change_pages.run_change_names(),
        choices=change_pages.choice_names(),
        states=change_pages.answer_names(),
        problems=change_pages.problem_names(),
    )


@blueprint.post("/manage/run-changes/<public_id>/again")
@permission("signed_in")
def drive_run_change_again(public_id: str) -> ResponseReturnValue:
    """Try those that failed once more, and settle the rest by what was announced for them."""
    change = _change(public_id)
    run_changes.drive_again(change.public_id, now=clock.now())
    flash(_("The rest is being settled."), "success")
    return redirect(url_for("enrolment.run_change_progress", public_id=public_id), 303)


@blueprint.get("/manage/run-changes/<public_id>.csv")
@permission("signed_in")
def run_change_csv(public_id: str) -> ResponseReturnValue:
    """Everyone the change is about and what became of them, as a spreadsheet."""
    change, out = _change(public_id), io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_("Name"), _("E-mail"), _("Choice"), _("State"), _("Why not")])
    choices, states, problems = change_pages.choice_names(), change_pages.answer_names(), change_pages.problem_names()
    for answer, someone in run_changes.list_answers(change.id):
        choice = choices.get(answer.choice or "", "")
        problem = problems.get(answer.problem or "", answer.problem or "")
        row = [someone.name, someone.email, choice, states[answer.state][0], problem]
        writer.writerow([harmless(cell) for cell in row])
    headers = {"Content-Disposition": f'attachment; filename="run-change-{public_id}.csv"'}
    # With its mark at the front Excel reads Chinese as it is.
    return Response(out.getvalue().encode("utf-8-sig"), mimetype="text/csv", headers=headers)


def _answer(public_id: str) -> RunChangeAnswer:
    answer = run_changes.get_answer(public_id)
    require("own", owner_id=answer.enrolment.person_id)
    return answer


@blueprint.get("/my/run-changes/<public_id>")
@permission("own")
def answer_run_change(public_id: str) -> ResponseReturnValue:
    """What has changed about my run, and what I may choose."""
    return _choice_page(_answer(public_id), refusal=None)


@blueprint.post("/my/run-changes/<public_id>")
@permission("own")
def choose_run_change(public_id: str) -> ResponseReturnValue:
    """Do what I chose, at once."""
    answer, form = _answer(public_id), ChoiceForm()
    if not form.validate_on_submit():
        return _choice_page(answer, refusal=None), 422
    target_id = _find_run(form.target.data)
    try:
        run_changes.choose(
            public_id, form.choice.data or "", target_run_id=target_id, actor_id=person().id, now=clock.now()
        )
    except Refused as refusal:
        return _choice_page(run_changes.get_answer(public_id), refusal=refusal), refusal.status
    flash(_("Your choice is carried out."), "success")
    return redirect(url_for("enrolment.answer_run_change", public_id=public_id), 303)


def _choice_page(answer: RunChangeAnswer, *, refusal: Refused | None) -> str:
    change, now = answer.run_change, clock.now()
    place = places.look(answer.enrolment)
    is_open = answer.state != "settled" and answer.enrolment.ended_at is None
    return render_template(
        "enrolment/answer_run_change.html",
        answer=answer,
        change=change,
        run=change.run,
        is_open=is_open,
        may=run_changes.choices_of(change),
        Choice=Choice,
        moves=changes.list_moves(place, now=now) if is_open and place.orders else [],
        refusal=refusal,
        kinds=change_pages.run_change_names(),
        choices=change_pages.choice_names(),
    )
