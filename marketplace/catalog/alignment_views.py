"""Doors to the skills of a course: proposed at the desk, decided by reviewers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.catalog import alignments as verbs
from marketplace.catalog import names
from marketplace.catalog.authoring_views import WRITES, own_course
from marketplace.catalog.blueprint import blueprint
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

LARGEST_ID = 2**62


def _number(name: str) -> int | None:
    found = request.form.get(name, type=int)
    return found if found is not None and 0 < found < LARGEST_ID else None


@blueprint.route("/desk/courses/<public_id>/skills", methods=["GET", "POST"])
@permission(WRITES)
def skills(public_id: str) -> ResponseReturnValue:
    """The skills of a course; a search for one of the framework; a skill in own words."""
    course, status = own_course(public_id), 200
    refusal = None
    if request.method == "POST":
        chosen, words = _number("skill"), request.form.get("words", "")
        try:
            if chosen is not None:
                verbs.propose_skill(course.id, chosen, actor=person(), now=clock.now())
            else:
                verbs.propose_words(course.id, words, actor=person(), now=clock.now())
        except Refused as refused:
            refusal, status = refused.message, refused.status
        else:
            flash(_("The skill is proposed. A reviewer looks at it."), "success")
            return redirect(url_for("catalog.skills", public_id=public_id), 303)
    words = request.args.get("q", "")
    taught = {alignment.skill_id for alignment in course.skills if alignment.state != "rejected"}
    found = [skill for skill in verbs.find_skills(words) if skill.id not in taught]
    page = render_template(
        "catalog/skills.html",
        course=course,
        words=words,
        found=found,
        refusal=refusal,
        states=names.skill_states(),
    )
    return page, status


@blueprint.post("/desk/courses/<public_id>/skills/<int:alignment_id>/remove")
@permission(WRITES)
def remove_skill(public_id: str, alignment_id: int) -> ResponseReturnValue:
    """Take a skill off the course."""
    course = own_course(public_id)
    verbs.withdraw(course.id, min(alignment_id, LARGEST_ID), actor=person(), now=clock.now())
    flash(_("The skill is removed."), "success")
    return redirect(url_for("catalog.skills", public_id=public_id), 303)


@blueprint.get("/staff/skills")
@permission("staff:reviewer")
def staff_skills() -> ResponseReturnValue:
    """The proposals that wait, with skills that own words may mean; `?for=` and `?q=` search for another one."""
    waiting, after = verbs.list_waiting(after=request.args.get("after", 0, type=int))
    searched = request.args.get("for", type=int)
    words = request.args.get("q", "")
    suggestions = {
        row.id: verbs.find_skills(words) if row.id == searched and words else verbs.suggest(row) for row in waiting
    }
    return render_template(
        "catalog/staff_skills.html",
        waiting=waiting,
        suggestions=suggestions,
        searched=searched,
        words=words,
        next_page=url_for("catalog.staff_skills", after=after) if after else None,
        total=verbs.count_waiting(),
    )


@blueprint.post("/staff/skills/<int:alignment_id>")
@permission("staff:reviewer")
def decide_skill(alignment_id: int) -> ResponseReturnValue:
    """Accept, reject or map one proposal."""
    decision = request.form.get("decision", "")
    if decision not in {"accept", "reject", "map"}:
        abort(400)
    try:
        verbs.decide(
            min(alignment_id, LARGEST_ID), decision, skill_id=_number("skill"), actor=person(), now=clock.now()
        )
    except Refused as refused:
        if refused.status == 404:  # noqa: PLR2004 - nothing under this id
            raise
        flash(str(refused.message), "error")
    else:
        flash(_("Decided."), "success")
    return redirect(url_for("catalog.staff_skills"), 303)
