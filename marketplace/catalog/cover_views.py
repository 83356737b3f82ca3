"""Doors to the cover of a course."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.catalog import covers
from marketplace.catalog.authoring_views import WRITES, own_course
from marketplace.catalog.blueprint import blueprint
from marketplace.catalog.cover_forms import CoverForm, values_of
from marketplace.foundation import clock
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.images import SENTENCES

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/desk/courses/<public_id>/cover", methods=["GET", "POST"])
@permission(WRITES)
def cover(public_id: str) -> ResponseReturnValue:
    """Upload a cover, describe it, say what must stay in sight."""
    course, actor = own_course(public_id), person()
    form = CoverForm(data=values_of(course.picture))
    tried = attempt(
        form, lambda: covers.set_cover(course.id, form.content(), form.words(), actor=actor, now=clock.now())
    )
    if tried.is_done:
        flash(_("The cover is saved. It is drawn in several sizes now, which takes some seconds."), "success")
        return redirect(url_for("catalog.cover", public_id=public_id), 303)
    return render_template("catalog/cover.html", form=form, course=course, refusals=SENTENCES), tried.status


@blueprint.post("/desk/courses/<public_id>/cover/remove")
@permission(WRITES)
def remove_cover(public_id: str) -> ResponseReturnValue:
    """Go back to the generated cover."""
    course = own_course(public_id)
    covers.remove_cover(course.id, actor=person(), now=clock.now())
    flash(_("The generated cover stands there again."), "success")
    return redirect(url_for("catalog.cover", public_id=public_id), 303)
