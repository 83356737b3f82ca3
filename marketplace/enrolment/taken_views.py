"""The door to a course one took, which stays open when it is withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template

from marketplace.accounts.permissions import permission, person
from marketplace.catalog import listing
from marketplace.enrolment import learning
from marketplace.enrolment.blueprint import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/my/courses/<public_id>")
@permission("own")
def taken_course(public_id: str) -> ResponseReturnValue:
    """What one learnt there, in both languages, whether or not it is offered still."""
    course = learning.get_taken_course(public_id, person().id)
    return render_template("enrolment/taken_course.html", course=course, levels=listing.level_names())
