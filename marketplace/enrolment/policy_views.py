"""Doors to cancellation terms: a provider's, which its runs follow, and a run's own; with what a learner will read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for

from marketplace.accounts.permissions import permission, person, require
from marketplace.catalog import desk, offer
from marketplace.enrolment import policies, policy_pages
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.policy_forms import ProviderTermsForm, TermsForm, values_of
from marketplace.foundation import clock
from marketplace.foundation.filling import Attempt, attempt
from marketplace.foundation.i18n import gettext as _

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

    from marketplace.accounts.models import Organisation
    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.change_models import RefundPolicy
    from marketplace.enrolment.refund_rules import Terms

# Finance staff, and those of the leading provider who answer for money.
MONEY = ("staff:finance_officer", "provider:finance|registrar")


def _provider(public_id: str) -> Organisation:
    organisation = offer.get_provider(public_id)
    require(*MONEY, organisation_ids=[organisation.id])
    return organisation


def _run(public_id: str) -> CourseRun:
    run = desk.get_run(public_id)
    require(*MONEY, organisation_ids=run.course.lead_ids)
    return run


@blueprint.route("/providers/<public_id>/cancellation", methods=["GET", "POST"])
@permission("signed_in")
def provider_terms(public_id: str) -> ResponseReturnValue:
    """The terms that a provider's runs follow, with every version; new ones hold for what is sold from then on."""
    organisation, actor_id = _provider(public_id), person().id
    row = policies.in_force_for_provider(organisation.id)
    form = ProviderTermsForm(data=values_of(row))
    tried = _try(
        form,
        lambda: policies.set_for_provider(
            organisation.id,
            form.tiers(),
            withdrawal_days=int(form.withdrawal_days.data or 0),
            deferral_days=form.deferral_days.data or 0,
            actor_id=actor_id,
            now=clock.now(),
        ),
    )
    if tried.is_done:
        flash(_("The new terms hold for what is sold from now on."), "success")
        return redirect(url_for("enrolment.provider_terms", public_id=public_id), 303)
    shown = _shown(form, row, int(form.withdrawal_days.data or 0))
    return _page(row, form, shown, organisation=organisation, run=None), tried.status


@blueprint.route("/runs/<public_id>/cancellation", methods=["GET", "POST"])
@permission("signed_in")
def run_terms(public_id: str) -> ResponseReturnValue:
    """The terms of one run, its own or its provider's, with every version of its own."""
    run, actor_id = _run(public_id), person().id
    row = policies.in_force_for_run(run)
    form = TermsForm(data=values_of(row))
    days = form.deferral_days
    tried = _try(
        form,
        lambda: policies.set_for_run(
            run.id, form.tiers(), deferral_days=days.data or 0, actor_id=actor_id, now=clock.now()
        ),
    )
    if tried.is_done:
        flash(_("The new terms hold for what is sold from now on."), "success")
        return redirect(url_for("enrolment.run_terms", public_id=public_id), 303)
    shown = _shown(form, row, row.withdrawal_days)
    return _page(row, form, shown, organisation=run.course.providers[0].organisation, run=run), tried.status


@blueprint.post("/providers/<public_id>/cancellation/end")
@permission("signed_in")
def end_provider_terms(public_id: str) -> ResponseReturnValue:
    """Follow the marketplace's terms again."""
    policies.end_for_provider(_provider(public_id).id, actor_id=person().id, now=clock.now())
    flash(_("The new terms hold for what is sold from now on."), "success")
    return redirect(url_for("enrolment.provider_terms", public_id=public_id), 303)


@blueprint.post("/runs/<public_id>/cancellation/end")
@permission("signed_in")
def end_run_terms(public_id: str) -> ResponseReturnValue:
    """Follow the provider's terms again."""
    policies.end_for_run(_run(public_id).id, actor_id=person().id, now=clock.now())
    flash(_("The new terms hold for what is sold from now on."), "success")
    return redirect(url_for("enrolment.run_terms", public_id=public_id), 303)


def _try(form: TermsForm, act: Callable[[], Terms]) -> Attempt[Terms]:
    """Put the terms in force, or only look at what was typed."""
    if not form.look.data:
        return attempt(form, act)
    return Attempt(is_done=False, status=200 if form.validate() else 422)


def _shown(form: TermsForm, row: RefundPolicy, withdrawal_days: int) -> Terms:
    """What the preview shows: what was typed to be looked at, if it makes sense, else what is in force."""
    is_typed = form.look.data and not form.errors
    return form.terms(withdrawal_days) if is_typed else policies.as_terms(row)


def _page(
    row: RefundPolicy, form: TermsForm, shown: Terms, *, organisation: Organisation, run: CourseRun | None
) -> str:
    of_what = {"run_id": run.id} if run else {"organisation_id": organisation.id}
    return render_template(
        "enrolment/edit_terms.html",
        form=form,
        row=row,
        terms=shown,
        lines=policy_pages.lines_of(shown, run, price=run.price if run else None),
        versions=policies.list_versions(**of_what),
        words=lambda version: policy_pages.in_words(policies.as_terms(version)),
        is_typed=shown.version == 0,
        organisation=organisation,
        run=run,
    )
