"""Doors to the seats of a run: its pools and the rule of its waiting list, for its registrars and for staff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts import organisations
from marketplace.accounts.permissions import permission, person, require
from marketplace.accounts.throttle import note_wrong_code
from marketplace.catalog import desk, run_rules
from marketplace.enrolment import availability, pools, waiting
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.pool_forms import AUDIENCES, KINDS, PoolForm, WaitingRuleForm, values_of
from marketplace.enrolment.seat_models import First
from marketplace.foundation import clock
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.catalog.models import CourseRun

SEATS = ("staff", "provider:registrar")


def _run(public_id: str) -> CourseRun:
    run = desk.get_run(public_id)
    require(*SEATS, organisation_ids=run.course.organisation_ids)
    return run


def count_guess(run_id: int, code: str | None) -> None:
    """Let this request count as a guess if it came with a code that opens no pool of the run."""
    if code and code.strip() and not pools.has_code(run_id, code):
        note_wrong_code()


@blueprint.route("/runs/<public_id>/seats", methods=["GET", "POST"])
@permission("signed_in")
def run_seats(public_id: str) -> ResponseReturnValue:
    """The pools of a run, what is taken of them, and who comes first in its waiting list."""
    run = _run(public_id)
    rule = waiting.get_rule(run.id)
    form = WaitingRuleForm(first=rule.first, offer_hours=rule.offer_hours)
    hours = form.offer_hours

    def set_rule() -> None:
        first, actor_id = First(form.first.data), person().id
        waiting.set_rule(run.id, first=first, offer_hours=hours.data or 0, actor_id=actor_id, now=clock.now())

    tried = attempt(form, set_rule)
    if tried.is_done:
        flash(_("The rule of the waiting list is saved."), "success")
        return redirect(url_for("enrolment.run_seats", public_id=public_id), 303)
    return render_template(
        "enrolment/run_seats.html",
        run=run,
        pools=pools.list_pools(run.id),
        seats=availability.of_runs([run], now=clock.now())[run.id],
        waiting=waiting.count_waiting(run.id),
        form=form,
        names={"kinds": KINDS, "audiences": AUDIENCES},
        last_day=lambda pool: run_rules.last_day_before(pool.release_at, run.zone),
    ), tried.status


@blueprint.route("/runs/<public_id>/seats/new", methods=["GET", "POST"])
@permission("signed_in")
def new_pool(public_id: str) -> ResponseReturnValue:
    """Keep seats for an audience."""
    run, actor = _run(public_id), person()
    form = PoolForm()
    form.offer(run, organisations.list_all())
    tried = attempt(form, lambda: pools.create_pool(run.id, form.wish(), actor_id=actor.id, now=clock.now()))
    if tried.is_done:
        flash(_("The seats are kept."), "success")
        return redirect(url_for("enrolment.run_seats", public_id=public_id), 303)
    return render_template("enrolment/edit_pool.html", run=run, form=form, pool=None), tried.status


@blueprint.route("/runs/<public_id>/seats/<pool_id>", methods=["GET", "POST"])
@permission("signed_in")
def edit_pool(public_id: str, pool_id: str) -> ResponseReturnValue:
    """Change size, audience or last day of a pool."""
    run, actor = _run(public_id), person()
    pool = pools.get_pool(run.id, pool_id)
    form = PoolForm(data=values_of(pool))
    form.offer(run, organisations.list_all(), pool)
    tried = attempt(form, lambda: pools.change_pool(pool.id, form.wish(), actor_id=actor.id, now=clock.now()))
    if tried.is_done:
        flash(_("The seat pool is saved."), "success")
        return redirect(url_for("enrolment.run_seats", public_id=public_id), 303)
    return render_template("enrolment/edit_pool.html", run=run, form=form, pool=pool), tried.status


@blueprint.post("/runs/<public_id>/seats/<pool_id>/release")
@permission("signed_in")
def release_pool(public_id: str, pool_id: str) -> ResponseReturnValue:
    """Give the unused seats of a pool to everyone now."""
    run, actor = _run(public_id), person()
    pools.release_pool(pools.get_pool(run.id, pool_id).id, actor_id=actor.id, now=clock.now())
    flash(_("The unused seats are everyone's now."), "success")
    return redirect(url_for("enrolment.run_seats", public_id=public_id), 303)
