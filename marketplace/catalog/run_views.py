"""Doors to planning a run: its dates, seats and price, its sessions, scheduling and copying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person, require
from marketplace.catalog import desk as reading
from marketplace.catalog import names, runs, timetable
from marketplace.catalog.authoring import EditedMeanwhile
from marketplace.catalog.authoring_views import WORKS, own_course
from marketplace.catalog.blueprint import blueprint
from marketplace.catalog.run_forms import NEW_RUN, CopyForm, RunForm, SeriesForm, SessionForm, session_values, values_of
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.filling import attempt, show
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import ngettext

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.catalog.models import CourseRun, Session


def own_run(public_id: str) -> CourseRun:
    """The run, if the person plans runs for one of its providers; for others it does not exist."""
    run = reading.get_run(public_id)
    require(WORKS, organisation_ids=run.course.organisation_ids)
    return run


def _own_session(public_id: str) -> Session:
    session = timetable.get_session(public_id)
    require(WORKS, organisation_ids=session.run.course.organisation_ids)
    return session


def _to_run(run: CourseRun) -> ResponseReturnValue:
    return redirect(url_for("catalog.desk_run", public_id=run.public_id), 303)


@blueprint.route("/desk/courses/<public_id>/runs/new", methods=["GET", "POST"])
@permission(WORKS)
def new_run(public_id: str) -> ResponseReturnValue:
    """Begin a run; it stays a draft until it is scheduled."""
    course, actor = own_course(public_id, WORKS), person()
    form = RunForm(data=NEW_RUN)
    form.offer()
    tried = attempt(form, lambda: runs.create_run(course.id, form.values(None), actor=actor, now=clock.now()))
    if tried.result is not None:
        flash(_("The run is saved as a draft. Give it its sessions next."), "success")
        return _to_run(tried.result)
    return render_template("catalog/edit_run.html", form=form, course=course, run=None), tried.status


@blueprint.get("/desk/runs/<public_id>")
@permission(WORKS)
def desk_run(public_id: str) -> ResponseReturnValue:
    """Where a run stands: what is missing, its sessions, what can be done."""
    run = own_run(public_id)
    return render_template(
        "catalog/desk_run.html",
        run=run,
        course=run.course,
        missing=runs.missing(run) if run.state == "draft" else [],
        states=names.run_states(),
    )


@blueprint.route("/desk/runs/<public_id>/edit", methods=["GET", "POST"])
@permission(WORKS)
def edit_run(public_id: str) -> ResponseReturnValue:
    """Change a run; who saves second is told and keeps what they typed."""
    run, actor = own_run(public_id), person()
    form = RunForm(data=values_of(run))
    form.offer()
    tried = attempt(
        form,
        lambda: runs.save_run(
            run.id, form.values(run), version=int(form.version.data or 0), actor=actor, now=clock.now()
        ),
    )
    if tried.is_done:
        flash(_("The run is saved.") if tried.result else _("Nothing was changed."), "success")
        return _to_run(run)
    theirs: dict[str, object] = {}
    if isinstance(tried.refused, EditedMeanwhile):
        theirs = tried.refused.changed
        form.version.process_data(own_run(public_id).version)
        form.version.raw_data = None
    words = names.changed_columns()
    page = render_template("catalog/edit_run.html", form=form, course=run.course, run=run, theirs=theirs, columns=words)
    return page, tried.status


@blueprint.post("/desk/runs/<public_id>/schedule")
@permission(WORKS)
def schedule_run(public_id: str) -> ResponseReturnValue:
    """Put the run on sale."""
    run = own_run(public_id)
    try:
        runs.schedule_run(run.id, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    else:
        flash(_("The run is scheduled. It can be booked from the day enrolment opens."), "success")
    return _to_run(run)


@blueprint.route("/desk/runs/<public_id>/copy", methods=["GET", "POST"])
@permission(WORKS)
def copy_run(public_id: str) -> ResponseReturnValue:
    """Make a draft like this run on other days."""
    run, form, actor = own_run(public_id), CopyForm(), person()
    tried = attempt(form, lambda: runs.copy_run(run.id, starts_on=form.day(), actor=actor, now=clock.now()))
    if tried.result is not None:
        flash(_("This is the copy. Look at its dates, then schedule it."), "success")
        return _to_run(tried.result)
    return render_template("catalog/copy_run.html", form=form, run=run, course=run.course), tried.status


@blueprint.route("/desk/runs/<public_id>/sessions/new", methods=["GET", "POST"])
@permission(WORKS)
def new_session(public_id: str) -> ResponseReturnValue:
    """Add one session."""
    run, actor = own_run(public_id), person()
    form = SessionForm(minutes=180)
    tried = attempt(
        form,
        lambda: timetable.add_sessions(run.id, [form.meeting(run.zone)], form.texts(), actor=actor, now=clock.now()),
    )
    if tried.is_done:
        flash(_("The session is added."), "success")
        return _to_run(run)
    return render_template("catalog/edit_session.html", form=form, run=run, session=None), tried.status


@blueprint.route("/desk/runs/<public_id>/sessions/weekly", methods=["GET", "POST"])
@permission(WORKS)
def weekly_sessions(public_id: str) -> ResponseReturnValue:
    """Add sessions week by week: first they are shown, then made."""
    run, actor = own_run(public_id), person()
    form = SeriesForm(minutes=180, count=6, every=1)
    meetings, status = [], 200
    if form.is_submitted() and not form.validate():
        status = 422
    elif form.is_submitted():
        try:
            meetings = form.meetings(run.zone)
            if request.form.get("is_confirmed") == "yes":
                timetable.add_sessions(run.id, meetings, {}, actor=actor, now=clock.now())
                flash(ngettext("%(num)s session is added.", "%(num)s sessions are added.", len(meetings)), "success")
                return _to_run(run)
        except Refused as refused:
            status = show(form, refused)
    return render_template("catalog/weekly_sessions.html", form=form, run=run, meetings=meetings), status


@blueprint.route("/desk/sessions/<public_id>/edit", methods=["GET", "POST"])
@permission(WORKS)
def edit_session(public_id: str) -> ResponseReturnValue:
    """Change one session."""
    session, actor = _own_session(public_id), person()
    run = session.run
    form = SessionForm(data=session_values(session, run.zone))
    tried = attempt(
        form,
        lambda: timetable.save_session(session.id, form.meeting(run.zone), form.texts(), actor=actor, now=clock.now()),
    )
    if tried.is_done:
        flash(_("The session is saved."), "success")
        return _to_run(run)
    return render_template("catalog/edit_session.html", form=form, run=run, session=session), tried.status


@blueprint.post("/desk/sessions/<public_id>/remove")
@permission(WORKS)
def remove_session(public_id: str) -> ResponseReturnValue:
    """Remove a session in which no attendance was taken."""
    session = _own_session(public_id)
    run = session.run
    try:
        timetable.remove_session(session.id, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    else:
        flash(_("The session is removed."), "success")
    return _to_run(run)
