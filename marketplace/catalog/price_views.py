"""Doors to the price rules of a run: seen and changed by those who answer for its money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts import organisations
from marketplace.accounts.permissions import permission, person, require
from marketplace.catalog import desk as reading
from marketplace.catalog import price_words, pricing
from marketplace.catalog.blueprint import blueprint
from marketplace.catalog.price_forms import PreviewForm, PriceRuleForm, values_of
from marketplace.catalog.price_preview import preview
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.catalog.models import CourseRun

# Finance staff, and those of the leading provider who answer for money.
PRICES = ("staff:finance_officer", "provider:finance|registrar")


def _run(public_id: str) -> CourseRun:
    run = reading.get_run(public_id)
    require(*PRICES, organisation_ids=run.course.lead_ids)
    return run


@blueprint.get("/runs/<public_id>/prices")
@permission("signed_in")
def prices(public_id: str) -> ResponseReturnValue:
    """The rules of a run, those that ended, and what whom a seat would cost on a day."""
    run, form = _run(public_id), PreviewForm(request.args)
    today = clock.now().astimezone(run.tzinfo).date()
    day = form.on.data if form.validate() and form.on.data else today
    rows = pricing.list_in_force([run.id])
    rules = [pricing.as_rule(row) for row in rows]
    form.on.data = day
    return render_template(
        "catalog/prices.html",
        run=run,
        rules=list(zip(rows, rules, strict=True)),
        ended=[(row, pricing.as_rule(row)) for row in pricing.list_ended(run.id)],
        preview=preview(rules, list_price=run.price, today=day, seats_taken=run.seats_taken),
        form=form,
        title_of=price_words.title_of,
    )


@blueprint.route("/runs/<public_id>/prices/new", methods=["GET", "POST"])
@permission("signed_in")
def new_price_rule(public_id: str) -> ResponseReturnValue:
    """Add a rule at the end of the list."""
    run, actor = _run(public_id), person()
    form = PriceRuleForm()
    form.offer(run, organisations.list_all())
    tried = attempt(form, lambda: pricing.add_rule(run.id, form.rule(), actor_id=actor.id, now=clock.now()))
    if tried.is_done:
        flash(_("The rule is in force."), "success")
        return redirect(url_for("catalog.prices", public_id=public_id), 303)
    return render_template("catalog/edit_price.html", form=form, run=run, rule=None), tried.status


@blueprint.route("/runs/<public_id>/prices/<rule_id>", methods=["GET", "POST"])
@permission("signed_in")
def edit_price_rule(public_id: str, rule_id: str) -> ResponseReturnValue:
    """Write the next version of a rule; orders keep the one they were sold by."""
    run, actor = _run(public_id), person()
    rule = pricing.get_rule(run.id, rule_id)
    form = PriceRuleForm(data=values_of(rule))
    form.offer(run, organisations.list_all())
    tried = attempt(form, lambda: pricing.change_rule(rule.id, form.rule(), actor_id=actor.id, now=clock.now()))
    if tried.is_done:
        flash(_("The new version of the rule is in force."), "success")
        return redirect(url_for("catalog.prices", public_id=public_id), 303)
    return render_template("catalog/edit_price.html", form=form, run=run, rule=rule), tried.status


@blueprint.post("/runs/<public_id>/prices/<rule_id>/end")
@permission("signed_in")
def end_price_rule(public_id: str, rule_id: str) -> ResponseReturnValue:
    """Let a rule no longer apply."""
    run = _run(public_id)
    rule = pricing.get_rule(run.id, rule_id)
    try:
        pricing.end_rule(rule.id, actor_id=person().id, now=clock.now())
    except Refused as refused:
        flash(str(refused.message), "error")
    else:
        flash(_("The rule has ended."), "success")
    return redirect(url_for("catalog.prices", public_id=public_id), 303)
