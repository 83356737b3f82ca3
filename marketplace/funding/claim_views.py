"""Doors of the funding officer to claims: what is earned, batches, their files, and what the funder answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.foundation import clock, spreadsheets
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import ngettext
from marketplace.funding import claims, clawing_back, doubts, programmes, subsidies, subsidy_lists, subsidy_names
from marketplace.funding.blueprint import blueprint
from marketplace.funding.programme_forms import PressForm
from marketplace.funding.subsidy_forms import LaterForm, PaidForm
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.funding.subsidy_models import ClaimBatch

OFFICER = "staff:funding_officer"


@blueprint.get("/staff/funding/<public_id>/claims")
@permission(OFFICER)
def programme_claims(public_id: str) -> ResponseReturnValue:
    """What can be claimed now, the soonest deadline first, and every batch so far."""
    programme = programmes.get(public_id)
    batches, now = claims.list_batches(programme), clock.now()
    return render_template(
        "funding/programme_claims.html",
        programme=programme,
        claimable=claims.list_claimable(programme.id, now=now),
        doubted=doubts.list_doubted(programme.id),
        owed_back=clawing_back.list_owed_back(programme.id),
        states=subsidy_names.states(),
        batches=batches,
        now=now,
        pay_within=claims.PAY_WITHIN_DAYS,
        together=claims.together(batches, programme.currency),
        press=PressForm(),
    )


@blueprint.post("/staff/funding/<public_id>/claims")
@permission(OFFICER)
def make_claim(public_id: str) -> ResponseReturnValue:
    """Claim the chosen subsidies in a new batch."""
    programme, doubted = programmes.get(public_id), set(request.form.getlist("doubted"))
    chosen = set(request.form.getlist("subsidy")) | doubted
    try:
        batch = claims.make_batch(programme.id, chosen, actor_id=person().id, now=clock.now(), despite_doubt=doubted)
    except Refused as refusal:
        flash(str(refusal.message), "error")
        return redirect(url_for("funding.programme_claims", public_id=public_id), 303)
    flash(_("Batch %(number)s is made. Save its file and send it to the funder.", number=batch.number), "success")
    if left := len(chosen) - len(batch.subsidies):
        flash(
            ngettext(
                "%(num)s of the chosen subsidies is not in it: it cannot be claimed any more, or not by you.",
                "%(num)s of the chosen subsidies are not in it: they cannot be claimed any more, or not by you.",
                left,
            ),
            "warning",
        )
    return redirect(url_for("funding.claim_batch", public_id=batch.public_id), 303)


@blueprint.get("/staff/claims/<public_id>")
@permission(OFFICER)
def claim_batch(public_id: str) -> ResponseReturnValue:
    """One batch with its lines and evidence."""
    batch = claims.get_batch(public_id)
    return _batch_page(batch, PaidForm(formdata=None, currency=batch.programme.currency))


@blueprint.get("/staff/claims/<public_id>.<kind>")
@permission(OFFICER)
def claim_file(public_id: str, kind: str) -> ResponseReturnValue:
    """The batch as a file for the funder."""
    if kind not in spreadsheets.TYPES:
        raise NotFound
    batch = claims.get_batch(public_id)
    sheet = claims.sheet_of(batch)
    content = spreadsheets.write_csv(sheet) if kind == "csv" else spreadsheets.write_xlsx([sheet])
    name = f"{_('Claim')}-{batch.number}"
    return spreadsheets.attachment(content, kind, name=name, plain_name=f"claim-{batch.number}")


@blueprint.post("/staff/claims/<public_id>/paid")
@permission(OFFICER)
def pay_claim(public_id: str) -> ResponseReturnValue:
    """Record that the funder paid the lines still claimed."""
    batch = claims.get_batch(public_id)
    form = PaidForm(currency=batch.programme.currency)
    done = attempt(form, lambda: claims.mark_paid(batch.id, form.payment, actor_id=person().id, now=clock.now()))
    if not done.is_done:
        return _batch_page(claims.get_batch(public_id), form), done.status
    flash(_("The batch is marked as paid."), "success")
    return redirect(url_for("funding.claim_batch", public_id=public_id), 303)


@blueprint.post("/staff/claims/<public_id>/later")
@permission(OFFICER)
def expect_claim_later(public_id: str) -> ResponseReturnValue:
    """Give the funder more time to pay."""
    batch, form = claims.get_batch(public_id), LaterForm()
    done = attempt(form, lambda: claims.expect_later(batch.id, form.wish, actor_id=person().id, now=clock.now()))
    if not done.is_done:
        batch = claims.get_batch(public_id)
        return _batch_page(batch, PaidForm(formdata=None, currency=batch.programme.currency), form), done.status
    flash(_("The funder has more time."), "success")
    return redirect(url_for("funding.claim_batch", public_id=public_id), 303)


@blueprint.post("/staff/claims/<public_id>/reject")
@permission(OFFICER)
def reject_claim(public_id: str) -> ResponseReturnValue:
    """Record that the funder rejected one line, with its reason."""
    batch = claims.get_batch(public_id)
    lines = {subsidy.public_id for subsidy in batch.subsidies}
    chosen = request.form.get("subsidy", "")
    if chosen not in lines:
        raise NotFound
    try:
        subsidy = subsidy_lists.get(chosen)
        subsidies.reject(
            subsidy.id, reason=request.form.get("reason", "")[:2000], actor_id=person().id, now=clock.now()
        )
    except Refused as refusal:
        flash(str(refusal.message), "error")
    else:
        flash(_("Rejected. The person has been told by mail."), "success")
    return redirect(url_for("funding.claim_batch", public_id=public_id), 303)


def _batch_page(batch: ClaimBatch, form: PaidForm, later: LaterForm | None = None) -> str:
    return render_template(
        "funding/claim_batch.html",
        batch=batch,
        lines=[(subsidy, claims.earned_event(subsidy.events)) for subsidy in batch.subsidies],
        totals=claims.totals(batch),
        states=subsidy_names.states(),
        form=form,
        later=later or LaterForm(formdata=None),
        is_overdue=batch.pay_by <= clock.now() and any(one.state == State.CLAIMED for one in batch.subsidies),
        press=PressForm(),
    )
