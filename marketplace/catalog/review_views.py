"""Doors of the reviewers: what waits, one course, approve or return."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.catalog import authoring, listing, names, offer, trail
from marketplace.catalog import desk as reading
from marketplace.catalog.authoring_forms import ReviewForm
from marketplace.catalog.authoring_rules import Step
from marketplace.catalog.blueprint import blueprint
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.filling import attempt, text
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/staff/reviews")
@permission("staff:reviewer")
def reviews() -> ResponseReturnValue:
    """The courses that wait for a reviewer, and those changed since one read them."""
    return render_template(
        "catalog/reviews.html", waiting=reading.list_in_review(), changed=reading.list_changed_since_approval()
    )


@blueprint.route("/staff/reviews/<public_id>", methods=["GET", "POST"])
@permission("staff:reviewer")
def review_course(public_id: str) -> ResponseReturnValue:
    """One course as its page will show it, with its history; POST returns it with a note."""
    course, form, actor = reading.get_course(public_id), ReviewForm(), person()
    tried = attempt(
        form,
        lambda: authoring.take_step(course.id, Step.RETURN, note=text(form.note), actor=actor, now=clock.now()),
    )
    if tried.is_done:
        flash(_("The course is back with its provider."), "success")
        return redirect(url_for("catalog.reviews"), 303)
    course = reading.get_course(public_id)
    page = render_template(
        "catalog/review_course.html",
        course=course,
        form=form,
        runs=offer.runs_on_page(course, now=clock.now()),
        levels=listing.level_names(),
        events=trail.list_events(course.id)[0],
        **names.history_words(),
        states=names.course_states(),
    )
    return page, tried.status


@blueprint.post("/staff/reviews/<public_id>/approve")
@permission("staff:reviewer")
def approve_course(public_id: str) -> ResponseReturnValue:
    """Publish the course."""
    course = reading.get_course(public_id)
    try:
        authoring.take_step(course.id, Step.APPROVE, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
        return redirect(url_for("catalog.review_course", public_id=public_id), 303)
    flash(_("The course is published."), "success")
    return redirect(url_for("catalog.reviews"), 303)


@blueprint.post("/staff/reviews/<public_id>/read")
@permission("staff:reviewer")
def read_changes(public_id: str) -> ResponseReturnValue:
    """Say that one has read what changed since the course was approved."""
    course, version = reading.get_course(public_id), request.form.get("version", type=int)
    if version is None:
        abort(400)
    try:
        authoring.look_at_changes(course.id, version=version, actor=person(), now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    return redirect(url_for("catalog.reviews"), 303)
