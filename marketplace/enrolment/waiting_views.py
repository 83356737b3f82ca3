"""Doors to what is hoped for: waiting lists, offers, wishes; and what demand they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import ACTING, permission, person
from marketplace.accounts.throttle import codes_limited
from marketplace.catalog import listing, offer
from marketplace.enrolment import pool_views, search_wishes, waiting, wishes
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.forms import PressForm
from marketplace.enrolment.seat_models import WaitingState
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.post("/runs/<public_id>/wait")
@codes_limited
@permission("signed_in")
def join(public_id: str) -> ResponseReturnValue:
    """Stand in the waiting list of a sold-out run."""
    run_id, code = offer.get_run(public_id).id, request.form.get("seat_code", "")
    pool_views.count_guess(run_id, code)
    try:
        waiting.join(run_id, person().id, seat_code=code, now=clock.now())
        flash(_("You are on the waiting list. We write to you as soon as a seat comes free."), "success")
    except Refused as refusal:
        flash(str(refusal.message), "error")
    return redirect(url_for("enrolment.enrol", public_id=public_id, seats=code or None), 303)


@blueprint.post("/waiting/<public_id>/leave")
@permission("own")
def leave(public_id: str) -> ResponseReturnValue:
    """Give up one's place, or decline the seat that is offered."""
    entry = waiting.leave(public_id, person().id, now=clock.now())
    declined = entry.state == WaitingState.DECLINED
    flash(_("The seat goes to the next person.") if declined else _("You have left the waiting list."), "success")
    return redirect(url_for("enrolment.my_learning"), 303)


@blueprint.route("/courses/<public_id>/wish", methods=["GET", "POST"])
@permission("signed_in")
def wish(public_id: str) -> ResponseReturnValue:
    """Ask to be told when a course has a run to book."""
    form = PressForm()
    if form.validate_on_submit():
        course = wishes.make_wish(public_id, person().id, now=clock.now())
        flash(_("We write to you once, when this course can be booked."), "success")
        return redirect(url_for("catalog.course", public_id=course.public_id), 303)
    course = wishes.get_course(public_id)
    wished = wishes.find_wish(course.id, person().id)
    return render_template("enrolment/wish.html", course=course, wish=wished, form=form)


@blueprint.post("/courses/<public_id>/wish/remove")
@permission("signed_in")
def remove_wish(public_id: str) -> ResponseReturnValue:
    """Forget a wish."""
    wishes.remove_wish(public_id, person().id, now=clock.now())
    flash(_("The wish is forgotten."), "success")
    return redirect(url_for("enrolment.my_learning"), 303)


@blueprint.route("/wish", methods=["GET", "POST"])
@permission("signed_in")
def search_wish() -> ResponseReturnValue:
    """Ask to be told when there is a course about what a search, in the words of the list's address, did not find."""
    asked, form = listing.read_wish(request.args), PressForm()
    if form.validate_on_submit():
        try:
            search_wishes.make_wish(asked, person().id, now=clock.now())
            flash(_("We write to you once, when there is a course about it."), "success")
        except Refused as refusal:
            flash(str(refusal.message), "error")
        return redirect(listing.address(asked), 303)
    return render_template(
        "enrolment/search_wish.html",
        about=search_wishes.about(asked),
        back=listing.address(asked),
        wish=search_wishes.find_wish(asked, person().id),
        form=form,
    )


@blueprint.post("/wishes/<public_id>/remove")
@permission("own")
def remove_search_wish(public_id: str) -> ResponseReturnValue:
    """Forget a search one wanted to hear of."""
    search_wishes.remove_wish(public_id, person().id, now=clock.now())
    flash(_("The wish is forgotten."), "success")
    return redirect(url_for("enrolment.my_learning"), 303)


@blueprint.get("/demand")
@permission("provider")
def demand() -> ResponseReturnValue:
    """Which of one's own courses people want."""
    mine = {row.organisation_id for row in person().memberships if row.role in ACTING}
    return render_template("enrolment/demand.html", **_demand(mine))


@blueprint.get("/staff/demand")
@permission("staff")
def staff_demand() -> ResponseReturnValue:
    """Which courses people want."""
    return render_template("enrolment/demand.html", **_demand(None))


def _demand(organisation_ids: set[int] | None) -> dict[str, object]:
    is_all = organisation_ids is None
    lines, sought = wishes.list_demand(organisation_ids), search_wishes.list_sought(is_all=is_all)
    return {"lines": lines, "is_all": is_all, "sought": [(one, listing.address(one.wish)) for one in sought]}
