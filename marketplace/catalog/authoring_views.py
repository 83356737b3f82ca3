"""Doors of a provider's desk: its courses, one course, its texts in both languages, its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.models import PROVIDER_KINDS, MemberRole
from marketplace.accounts.permissions import permission, person, require
from marketplace.catalog import authoring, listing, names, offer, partners, trail
from marketplace.catalog import desk as reading
from marketplace.catalog.authoring import EditedMeanwhile
from marketplace.catalog.authoring_forms import CourseForm, StepForm, values_of
from marketplace.catalog.authoring_rules import Step
from marketplace.catalog.blueprint import blueprint
from marketplace.foundation import clock
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.accounts.models import Organisation
    from marketplace.catalog.models import Course

WORKS, WRITES = "provider:editor|registrar", "provider:editor"
STATES = ("draft", "in_review", "published", "withdrawn")


def own_provider(public_id: str, demanded: str = WORKS) -> Organisation:
    """The organisation, if the person signed in works for it; for others it does not exist."""
    organisation = offer.get_provider(public_id)
    require(demanded, organisation_ids=[organisation.id])
    return organisation


def own_course(public_id: str, demanded: str = WRITES, *, as_lead: bool = False) -> Course:
    """The course, if the person works for one of its providers (or for its lead); for others it does not exist."""
    course = reading.get_course(public_id)
    require(demanded, organisation_ids=course.organisation_ids)
    if as_lead:
        require(demanded, organisation_ids=course.lead_ids)
    return course


@blueprint.get("/desk")
@permission(WORKS)
def desk_home() -> ResponseReturnValue:
    """The desk of the one organisation somebody works for, or a choice of them."""
    wanted = {MemberRole.OWNER, MemberRole.EDITOR, MemberRole.REGISTRAR}
    mine = {
        membership.organisation.public_id: membership.organisation
        for membership in person().memberships
        if membership.role in wanted and membership.organisation.kind in PROVIDER_KINDS
    }
    if len(mine) == 1:
        return redirect(url_for("catalog.desk", public_id=next(iter(mine))))
    return render_template("catalog/desk_home.html", organisations=list(mine.values()))


@blueprint.get("/providers/<public_id>/desk")
@permission(WORKS)
def desk(public_id: str) -> ResponseReturnValue:
    """The courses of an organisation, newest first, and what it was asked to teach together."""
    organisation = own_provider(public_id)
    state = request.args.get("state")
    state = state if state in STATES else None
    before = request.args.get("before", type=int)
    courses, next_before = reading.list_courses(organisation.id, state=state, before=before)
    return render_template(
        "catalog/desk.html",
        organisation=organisation,
        courses=courses,
        counts=reading.count_courses(organisation.id),
        state=state,
        states=names.course_states(),
        next_page=url_for("catalog.desk", public_id=public_id, state=state, before=next_before)
        if next_before
        else None,
        asked=partners.list_asked_of(organisation.id),
        may_write="editor" in person().roles_in([organisation.id]),
    )


@blueprint.route("/providers/<public_id>/courses/new", methods=["GET", "POST"])
@permission(WRITES)
def new_course(public_id: str) -> ResponseReturnValue:
    """Begin a course; it stays a draft until a reviewer approves it."""
    organisation, actor = own_provider(public_id, WRITES), person()
    form = CourseForm(original_language=language())
    form.offer(offer.list_categories())
    tried = attempt(
        form,
        lambda: authoring.create_course(
            organisation.id, form.values(), translations=form.translations(), actor=actor, now=clock.now()
        ),
    )
    if tried.result is not None:
        flash(_("The draft is saved."), "success")
        return redirect(url_for("catalog.desk_course", public_id=tried.result.public_id), 303)
    page = render_template("catalog/edit_course.html", form=form, course=None, organisation=organisation)
    return page, tried.status


@blueprint.get("/desk/courses/<public_id>")
@permission(WORKS)
def desk_course(public_id: str) -> ResponseReturnValue:
    """Where a course stands: what is missing, its translations, its runs, the next step."""
    course = own_course(public_id, WORKS)
    roles = person().roles_in(course.organisation_ids)
    return render_template(
        "catalog/desk_course.html",
        course=course,
        missing=authoring.missing(course),
        note=trail.last_note(course.id) if course.state == "draft" else None,
        states=names.course_states(),
        run_states=names.run_states(),
        text_states=names.text_states(),
        may_write="editor" in roles,
        is_lead="editor" in person().roles_in(course.lead_ids),
    )


@blueprint.route("/desk/courses/<public_id>/edit", methods=["GET", "POST"])
@permission(WRITES)
def edit_course(public_id: str) -> ResponseReturnValue:
    """Change the texts; who saves second is told what the first one changed and keeps what they typed."""
    course, actor = own_course(public_id), person()
    form = CourseForm(data=values_of(course))
    form.offer(offer.list_categories())
    theirs: dict[str, object] = {}

    def save() -> bool:
        version = int(form.version.data or 0)
        return authoring.save_course(
            course.id,
            form.values(),
            translations=form.translations(),
            version=version,
            actor=actor,
            now=clock.now(),
        )

    tried = attempt(form, save)
    if tried.is_done:
        flash(_("The course is saved.") if tried.result else _("Nothing was changed."), "success")
        return redirect(url_for("catalog.desk_course", public_id=public_id), 303)
    if isinstance(tried.refused, EditedMeanwhile):
        theirs = tried.refused.changed
        form.version.process_data(reading.get_course(public_id).version)
        form.version.raw_data = None
    page = render_template(
        "catalog/edit_course.html", form=form, course=course, theirs=theirs, text_states=names.text_states()
    )
    return page, tried.status


@blueprint.get("/desk/courses/<public_id>/preview")
@permission(WORKS)
def preview_course(public_id: str) -> ResponseReturnValue:
    """The course as its public page shows it."""
    course = own_course(public_id, WORKS)
    runs = offer.runs_on_page(course, now=clock.now())
    return render_template("catalog/preview_course.html", course=course, runs=runs, levels=listing.level_names())


@blueprint.get("/desk/courses/<public_id>/history")
@permission(WORKS)
def course_history(public_id: str) -> ResponseReturnValue:
    """What was changed, when, by whom."""
    course = own_course(public_id, WORKS)
    events, next_before = trail.list_events(course.id, before=request.args.get("before", type=int))
    more = url_for("catalog.course_history", public_id=public_id, before=next_before) if next_before else None
    return render_template(
        "catalog/course_history.html", course=course, events=events, more=more, **names.history_words()
    )


@blueprint.post("/desk/courses/<public_id>/steps")
@permission(WRITES)
def take_course_step(public_id: str) -> ResponseReturnValue:
    """Send the course to review, take it back, or withdraw it from the catalogue."""
    course, form = own_course(public_id, as_lead=True), StepForm()
    said = {
        Step.SUBMIT: _("The course is with the reviewers now."),
        Step.RECALL: _("The course is a draft again."),
        Step.WITHDRAW: _("The course is out of the catalogue. Those who took it can still read it."),
    }
    if not form.validate_on_submit() or form.step.data not in said:
        raise Invalid("unknown_step", _("This page is out of date. Please look at the course again."))
    try:
        authoring.take_step(course.id, Step(form.step.data), actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    else:
        flash(said[Step(form.step.data)], "success")
    return redirect(url_for("catalog.desk_course", public_id=public_id), 303)
