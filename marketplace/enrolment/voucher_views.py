"""Doors for staff to vouchers: issued, looked at, downloaded, ended.

They stand here because codes are bound to runs and pay for orders, which the funding room does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for

from marketplace.accounts import organisations
from marketplace.accounts.permissions import permission, person
from marketplace.catalog import run_rules
from marketplace.enrolment import voucher_bounds, voucher_seats
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.voucher_forms import EndVoucherForm, FindVoucherForm, VoucherForm
from marketplace.foundation import clock
from marketplace.foundation.filling import attempt, text
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import ngettext
from marketplace.foundation.spreadsheets import Sheet, attachment, write_csv
from marketplace.funding import voucher_batches, voucher_rules
from marketplace.funding.vouchers import find_by_code

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from marketplace.funding.voucher_models import Voucher, VoucherBatch

CODES_PER_PAGE = 100


@blueprint.get("/staff/vouchers")
@permission("staff:funding_officer|finance_officer")
def vouchers() -> ResponseReturnValue:
    """Batches of codes, the newest first, with what they have paid."""
    batches = voucher_batches.list_batches(before=request.args.get("before", type=int))
    older = batches[-1].batch.id if len(batches) == voucher_batches.PAGE else None
    return render_template("enrolment/vouchers.html", batches=batches, older=older, form=FindVoucherForm())


@blueprint.post("/staff/vouchers/find")
@permission("staff:funding_officer|finance_officer")
def find_voucher() -> ResponseReturnValue:
    """Lead to the code somebody asks about."""
    found = find_by_code(text(FindVoucherForm().code))
    if found is None:
        flash(_("There is no such code."), "error")
        return redirect(url_for("enrolment.vouchers"), 303)
    return redirect(url_for("enrolment.voucher", public_id=found.public_id), 303)


@blueprint.route("/staff/vouchers/new", methods=["GET", "POST"])
@permission("staff:funding_officer|finance_officer")
def new_vouchers() -> ResponseReturnValue:
    """Issue codes."""
    form, actor = VoucherForm(), person()
    form.offer(organisations.list_all())
    tried = attempt(form, lambda: voucher_seats.issue(*form.wanted(), actor_id=actor.id, now=clock.now()))
    if tried.result is not None:
        flash(ngettext("%(num)s code is issued.", "%(num)s codes are issued.", tried.result.size), "success")
        return redirect(url_for("enrolment.voucher_batch", public_id=tried.result.public_id), 303)
    return render_template("enrolment/new_vouchers.html", form=form), tried.status


@blueprint.route("/staff/vouchers/<public_id>", methods=["GET", "POST"])
@permission("staff:funding_officer|finance_officer")
def voucher_batch(public_id: str) -> ResponseReturnValue:
    """A batch: its terms, its codes, what they paid, what staff did; and the form that ends it."""
    batch, form, actor = voucher_batches.get_batch(public_id), EndVoucherForm(), person()
    tried = attempt(
        form,
        lambda: voucher_seats.end_batch(batch, reason=text(form.reason), actor_id=actor.id, now=clock.now()),
    )
    if tried.is_done:
        flash(ngettext("%(num)s code has ended.", "%(num)s codes have ended.", tried.result or 0), "success")
        return redirect(url_for("enrolment.voucher_batch", public_id=public_id), 303)
    return _batch_page(batch, form), tried.status


def _batch_page(batch: VoucherBatch, form: EndVoucherForm) -> str:
    codes = voucher_batches.list_vouchers(batch.id, after=request.args.get("after", 0, type=int), limit=CODES_PER_PAGE)
    redemptions = voucher_batches.list_redemptions(batch_id=batch.id)
    return render_template(
        "enrolment/voucher_batch.html",
        standing=voucher_batches.standing_of(batch),
        worst_case=voucher_rules.worst_case(batch.terms, batch.size),
        bounds=voucher_bounds.names_of(batch),
        pool=voucher_seats.find_pool(batch),
        last_day=lambda pool: run_rules.last_day_before(pool.release_at, pool.run.zone),
        codes=codes,
        more=codes[-1].number if len(codes) == CODES_PER_PAGE else None,
        redemptions=redemptions,
        orders=voucher_bounds.orders_of([redemption.order_line_id for redemption in redemptions]),
        events=voucher_batches.list_events(batch.id),
        form=form,
    )


@blueprint.post("/staff/vouchers/<public_id>/codes.csv")
@permission("staff:funding_officer|finance_officer")
def voucher_codes(public_id: str) -> ResponseReturnValue:
    """All codes of a batch as a spreadsheet; that somebody took them is put on record."""
    batch = voucher_batches.get_batch(public_id)
    codes = voucher_batches.hand_out(batch, actor_id=person().id, now=clock.now())
    header = [_("No."), _("Voucher code"), _("Uses"), _("Uses at most"), _("Last day"), _("State")]
    sheet = Sheet(batch.name, [], header, [_row(voucher) for voucher in codes])
    return attachment(write_csv(sheet), "csv", name=batch.name, plain_name=f"vouchers-{public_id}")


def _row(voucher: Voucher) -> list[str | int | None]:
    code = voucher_batches.code_of(voucher) or _("Drawn with an earlier key: cannot be shown")
    last = voucher.batch.ends_on
    state = _("Ended") if voucher.ended_at else _("In force")
    return [voucher.number, code, voucher.uses, voucher.use_cap, last.isoformat() if last else "", state]


@blueprint.route("/staff/vouchers/codes/<public_id>", methods=["GET", "POST"])
@permission("staff:funding_officer|finance_officer")
def voucher(public_id: str) -> ResponseReturnValue:
    """One code: what it paid, what is left on it; and the form that ends it."""
    found, form, actor = voucher_batches.get_voucher(public_id), EndVoucherForm(), person()
    tried = attempt(
        form,
        lambda: voucher_batches.end_voucher(found.id, reason=text(form.reason), actor_id=actor.id, now=clock.now()),
    )
    if tried.is_done:
        flash(_("The code has ended."), "success")
        return redirect(url_for("enrolment.voucher", public_id=public_id), 303)
    before = request.args.get("before", type=int)
    redemptions = voucher_batches.list_redemptions(voucher_id=found.id, before=before)
    page = render_template(
        "enrolment/voucher.html",
        voucher=found,
        redemptions=redemptions,
        orders=voucher_bounds.orders_of([redemption.order_line_id for redemption in redemptions]),
        older=redemptions[-1].id if len(redemptions) == voucher_batches.PAGE else None,
        form=form,
    )
    return page, tried.status
