"""Doors of the funding officer to programmes: the list, one with its budget, its fields, deposits, rule versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.funding import budget_pages, programmes, subsidy_lists, subsidy_names
from marketplace.funding.blueprint import blueprint
from marketplace.funding.programme_forms import DepositForm, PressForm, ProgrammeForm

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

    from marketplace.funding.programme_models import FundingProgramme

OFFICER = "staff:funding_officer"


@blueprint.get("/staff/funding")
@permission(OFFICER)
def funding_desk() -> ResponseReturnValue:
    """Every programme with its budget at a glance."""
    return render_template(
        "funding/funding_desk.html",
        programmes=programmes.list_all(),
        open_ids={version.programme_id for version in programmes.list_open(now=clock.now())},
        names=subsidy_names,
    )


@blueprint.route("/staff/funding/new", methods=["GET", "POST"])
@permission(OFFICER)
def new_programme() -> ResponseReturnValue:
    """Make a programme; money and rule come afterwards."""
    form = ProgrammeForm(funders=programmes.list_funders())
    made = attempt(
        form,
        lambda: programmes.create(
            form.values(), currency=form.currency.data, actor_id=person().id, now=clock.now()
        ),
    )  # fmt: skip
    if made.result is not None:
        flash(_("The programme is made. Record its deposits and write its rule next."), "success")
        return redirect(url_for("funding.staff_programme", public_id=made.result.public_id), 303)
    return render_template("funding/edit_programme.html", form=form, programme=None), made.status


@blueprint.route("/staff/funding/<public_id>/edit", methods=["GET", "POST"])
@permission(OFFICER)
def edit_programme(public_id: str) -> ResponseReturnValue:
    """Change its names, terms, funder and days; the currency stays."""
    programme = programmes.get(public_id)
    values: dict[str, Any] = {"obj": programme, "funder_id": str(programme.funder_id or "")}
    form = ProgrammeForm(funders=programmes.list_funders(), **values)
    del form.currency
    done = attempt(
        form, lambda: programmes.change(programme.id, form.values(), actor_id=person().id, now=clock.now())
    )  # fmt: skip
    if done.is_done:
        flash(_("Saved."), "success")
        return redirect(url_for("funding.staff_programme", public_id=public_id), 303)
    return render_template("funding/edit_programme.html", form=form, programme=programme), done.status


@blueprint.get("/staff/funding/<public_id>")
@permission(OFFICER)
def staff_programme(public_id: str) -> ResponseReturnValue:
    """One programme: where its budget is, its deposits, its rule in versions, what was done to it."""
    programme = programmes.get(public_id)
    return _programme_page(programme, DepositForm(currency=programme.currency))


@blueprint.post("/staff/funding/<public_id>/deposits")
@permission(OFFICER)
def record_deposit(public_id: str) -> ResponseReturnValue:
    """Record money that came in under a reference."""
    programme = programmes.get(public_id)
    form = DepositForm(currency=programme.currency)
    done = attempt(
        form,
        lambda: programmes.deposit(
            programme.id,
            form.money,
            reference=form.reference.data or "",
            note=form.note.data or "",
            actor_id=person().id,
            now=clock.now(),
        ),
    )
    if not done.is_done:
        return _programme_page(programmes.get(public_id), form), done.status
    flash(_("The deposit is recorded."), "success")
    return redirect(url_for("funding.staff_programme", public_id=public_id), 303)


@blueprint.post("/staff/funding/<public_id>/publish")
@permission(OFFICER)
def publish_rule(public_id: str) -> ResponseReturnValue:
    """Put the draft of the rule in force, as the officer read it."""
    shown = request.form.get("shown", "")
    return _act(
        public_id,
        lambda programme_id: programmes.publish_draft(programme_id, shown=shown, actor_id=person().id, now=clock.now()),
        _("The rule is published. It decides from now on and cannot be changed."),
    )


@blueprint.post("/staff/funding/<public_id>/close")
@permission(OFFICER)
def close_programme(public_id: str) -> ResponseReturnValue:
    """End a programme before its time."""
    return _act(
        public_id,
        lambda programme_id: programmes.close(programme_id, is_closed=True, actor_id=person().id, now=clock.now()),
        _("The programme is closed. What it has promised is kept."),
    )


@blueprint.post("/staff/funding/<public_id>/open")
@permission(OFFICER)
def open_programme(public_id: str) -> ResponseReturnValue:
    """Open a closed programme again."""
    return _act(
        public_id,
        lambda programme_id: programmes.close(programme_id, is_closed=False, actor_id=person().id, now=clock.now()),
        _("The programme is open again."),
    )


def _act(public_id: str, act: Callable[[int], object], done: str) -> ResponseReturnValue:
    try:
        act(programmes.get(public_id).id)
    except Refused as refusal:
        flash(str(refusal.message), "error")
    else:
        flash(done, "success")
    return redirect(url_for("funding.staff_programme", public_id=public_id), 303)


def _programme_page(programme: FundingProgramme, form: DepositForm) -> str:
    waterfall = subsidy_lists.waterfall(programme)
    return render_template(
        "funding/staff_programme.html",
        programme=programme,
        waterfall=waterfall,
        parts_of_budget=budget_pages.parts(waterfall),
        chart=budget_pages.chart(waterfall),
        events=programmes.list_events(programme.id),
        acts=subsidy_names.programme_acts(),
        names=subsidy_names,
        form=form,
        press=PressForm(),
    )
