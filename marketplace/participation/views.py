"""The doors of teaching: rosters, registers, results and files; and a learner's own progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from marketplace.accounts import organisations
from marketplace.accounts.models import MemberRole
from marketplace.accounts.permissions import permission, person, require
from marketplace.foundation import clock, ids
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import ngettext
from marketplace.participation import completions, exports, names, registers, rosters, uploads
from marketplace.participation import sent_people as people_sent
from marketplace.participation.forms import RegisterForm, ResultsForm, UploadForm, marks_of, results_of

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.catalog.models import CourseRun, Session

blueprint = Blueprint("participation", __name__)

TEACHES = "provider:registrar|instructor"


def _run(public_id: str) -> CourseRun:
    """The run, if the person keeps registers for one of its providers; for other organisations it does not exist."""
    run = rosters.get_run(public_id)
    require(TEACHES, organisation_ids=run.course.organisation_ids)
    return run


def _session(public_id: str) -> Session:
    session = registers.get_session(public_id)
    require(TEACHES, organisation_ids=session.run.course.organisation_ids)
    return session


@blueprint.get("/teaching")
@permission(TEACHES)
def teaching() -> ResponseReturnValue:
    """The runs of the organisations I keep registers for."""
    wanted = {MemberRole.OWNER, MemberRole.REGISTRAR, MemberRole.INSTRUCTOR}
    mine = {membership.organisation_id for membership in person().memberships if membership.role in wanted}
    runs, older = rosters.list_teaching(mine, before=ids.row_number(request.args.get("before", "")))
    return render_template("participation/teaching.html", runs=runs, older=older)


@blueprint.get("/runs/<public_id>/roster")
@permission(TEACHES)
def roster(public_id: str) -> ResponseReturnValue:
    """Everyone in a run, session by session."""
    run = _run(public_id)
    lines = rosters.list_lines(run, now=clock.now())
    return render_template("participation/roster.html", run=run, lines=lines, statuses=names.STATUSES)


@blueprint.get("/runs/<public_id>/roster.csv")
@permission(TEACHES)
def roster_csv(public_id: str) -> ResponseReturnValue:
    """The roster as a spreadsheet that can be filled in and sent back."""
    run = _run(public_id)
    return _csv(exports.roster(run, rosters.list_lines(run, now=clock.now())), f"roster-{run.public_id}.csv")


def _csv(text: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode("utf-8-sig"), content_type="text/csv; charset=utf-8", headers=headers)


@blueprint.route("/sessions/<public_id>/register", methods=["GET", "POST"])
@permission(TEACHES)
def register(public_id: str) -> ResponseReturnValue:
    """Mark who is here; correct a mark with its reason."""
    session, form = _session(public_id), RegisterForm()
    if not form.validate_on_submit():
        return _register_page(session, form, 200 if request.method == "GET" else 400)
    try:
        written = registers.mark(session.id, marks_of(request.form), actor_id=person().id, now=clock.now())
    except Refused as refused:
        form.form_errors.append(refused.message)
        return _register_page(session, form, refused.status)
    flash(ngettext("%(num)s mark saved.", "%(num)s marks saved.", written), "success")
    return redirect(url_for("participation.register", public_id=public_id), 303)


def _register_page(session: Session, form: RegisterForm, status: int) -> ResponseReturnValue:
    people = rosters.list_people(session.run_id)
    marks = rosters.latest_marks(session.run_id)
    kept = marks_of(request.form)
    return render_template(
        "participation/register.html",
        session=session,
        run=session.run,
        people=[
            (enrolment, marks.get((enrolment.id, session.id)), kept.get(enrolment.public_id)) for enrolment in people
        ],
        trail=registers.list_trail(session.id),
        statuses=names.STATUSES,
        sources=names.SOURCES,
        form=form,
    ), status


@blueprint.route("/runs/<public_id>/results", methods=["GET", "POST"])
@permission(TEACHES)
def results(public_id: str) -> ResponseReturnValue:
    """Say who passed the assessment."""
    run, form = _run(public_id), ResultsForm()
    if form.validate_on_submit():
        written = completions.assess(run.id, results_of(request.form), actor_id=person().id, now=clock.now())
        flash(ngettext("%(num)s result saved.", "%(num)s results saved.", written), "success")
        return redirect(url_for("participation.roster", public_id=public_id), 303)
    lines = rosters.list_lines(run, now=clock.now())
    return render_template("participation/results.html", run=run, lines=lines, form=form)


@blueprint.route("/runs/<public_id>/attendance", methods=["GET", "POST"])
@permission(TEACHES)
def upload(public_id: str) -> ResponseReturnValue:
    """Take a spreadsheet of marks; a job works through it while its page tells how far it is."""
    run, form = _run(public_id), UploadForm()
    if form.validate_on_submit():
        sent = form.file.data
        try:
            begun = uploads.begin(
                run.id, sent.read(), file_name=sent.filename or "", actor_id=person().id, now=clock.now()
            )
        except Refused as refused:
            form.file.errors = [refused.message]
        else:
            return redirect(url_for("participation.uploaded", public_id=begun.public_id), 303)
    return render_template("participation/upload.html", run=run, form=form), 422 if form.errors else 200


@blueprint.get("/attendance-files/<public_id>")
@permission(TEACHES)
def uploaded(public_id: str) -> ResponseReturnValue:
    """How far a file of marks is, and the rows that were not taken."""
    found = uploads.get(public_id)
    run = _run(found.run.public_id)
    refused = uploads.count_refused(found.id)
    return render_template(
        "participation/uploaded.html", run=run, file=found, refused=refused, rows=uploads.list_refused(found.id)
    )


@blueprint.get("/my/progress/<public_id>")
@permission("own")
def progress(public_id: str) -> ResponseReturnValue:
    """How far I have come in one run."""
    enrolment = completions.get_enrolment(public_id)
    require("own", owner_id=enrolment.person_id)
    line = rosters.get_line(enrolment, now=clock.now())
    return render_template(
        "participation/progress.html", run=enrolment.run, line=line, statuses=names.STATUSES, completes=_("Completed")
    )


@blueprint.get("/organisations/<public_id>/training")
@permission("member:owner|registrar")
def sent_people(public_id: str) -> ResponseReturnValue:
    """Who of an organisation's members took part in what: of those who let it see."""
    organisation = organisations.get(public_id)
    require("member:owner|registrar", organisation_ids=[organisation.id])
    lines, silent = people_sent.list_lines(organisation.id)
    return render_template("participation/sent_people.html", organisation=organisation, lines=lines, silent=silent)
