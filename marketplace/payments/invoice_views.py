"""Doors for invoices and fapiao: the learner's page of an order, and the desk of finance staff."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from flask import Response, flash, redirect, render_template, request, send_file, url_for

from marketplace.accounts.permissions import permission, person
from marketplace.enrolment import learning
from marketplace.foundation import clock, ids
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.filling import show
from marketplace.foundation.i18n import LANGUAGES, language
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import debts, fapiao, invoices, paper, sellers
from marketplace.payments.blueprint import blueprint
from marketplace.payments.invoice_forms import (
    FapiaoForm,
    InvoiceForm,
    IssueForm,
    RejectForm,
    ReverseForm,
    SellerForm,
)
from marketplace.payments.kept import kept_of
from marketplace.payments.models import Purpose

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from flask_wtf import FlaskForm

    from marketplace.enrolment.models import Order
    from marketplace.payments.invoice_models import FapiaoRequest


@blueprint.get("/orders/<public_id>/invoice", defaults={"of": Purpose.ORDER})
@blueprint.get("/orders/<public_id>/debt/invoice", defaults={"of": Purpose.DEBT})
@permission("own")
def invoice(public_id: str, of: Purpose) -> ResponseReturnValue:
    """The invoice and the fapiao of one's own order or of a debt beside it, and the forms that ask for them."""
    return _invoice_page(_papers_order(public_id, of), of)


@blueprint.post("/orders/<public_id>/invoice", defaults={"of": Purpose.ORDER})
@blueprint.post("/orders/<public_id>/debt/invoice", defaults={"of": Purpose.DEBT})
@permission("own")
def issue_invoice(public_id: str, of: Purpose) -> ResponseReturnValue:
    """Issue the invoice, or issue it anew under another name."""
    order, form = _papers_order(public_id, of), InvoiceForm()
    if not form.validate_on_submit():
        return _invoice_page(order, of, invoice_form=form), 422
    try:
        made = invoices.issue(order.id, form.billed, actor_id=person().id, now=clock.now(), purpose=of)
    except Refused as refusal:
        show(form, refusal)
        return _invoice_page(order, of, invoice_form=form), refusal.status
    flash(_("Invoice %(number)s is issued.", number=made.printed_number), "success")
    return _to_papers(public_id, of)


@blueprint.post("/orders/<public_id>/fapiao", defaults={"of": Purpose.ORDER})
@blueprint.post("/orders/<public_id>/debt/fapiao", defaults={"of": Purpose.DEBT})
@permission("own")
def request_fapiao(public_id: str, of: Purpose) -> ResponseReturnValue:
    """Ask for a fapiao."""
    order, form = _papers_order(public_id, of), FapiaoForm()
    if not form.validate_on_submit():
        return _invoice_page(order, of, fapiao_form=form), 422
    try:
        fapiao.request(order.id, form.wish, now=clock.now(), purpose=of)
    except Refused as refusal:
        show(form, refusal)
        return _invoice_page(order, of, fapiao_form=form), refusal.status
    flash(_("The fapiao is asked for. We write to you when it is there."), "success")
    return _to_papers(public_id, of)


@blueprint.post("/orders/<public_id>/fapiao/withdraw", defaults={"of": Purpose.ORDER})
@blueprint.post("/orders/<public_id>/debt/fapiao/withdraw", defaults={"of": Purpose.DEBT})
@permission("own")
def withdraw_fapiao(public_id: str, of: Purpose) -> ResponseReturnValue:
    """Take back one's request before it is dealt with."""
    order = _papers_order(public_id, of)
    standing = fapiao.find_standing(order.id, of)
    if standing is None:
        raise NotFound
    try:
        fapiao.withdraw(standing.public_id, actor_id=person().id, now=clock.now())
    except Refused as refusal:
        flash(str(refusal.message), "error")
    else:
        flash(_("The request is taken back."), "success")
    return _to_papers(public_id, of)


def _papers_order(public_id: str, of: Purpose) -> Order:
    """One's own order; raises NotFound for the debt of one that never had any."""
    order = learning.get_order(public_id, person().id)
    if of is Purpose.DEBT and debts.find(public_id) is None:
        raise NotFound
    return order


def _to_papers(public_id: str, of: Purpose) -> ResponseReturnValue:
    return redirect(url_for("payments.invoice", public_id=public_id, of=of), 303)


def _invoice_page(order: Order, of: Purpose, *, invoice_form: FlaskForm = None, fapiao_form: FlaskForm = None) -> str:
    someone, newest = person(), fapiao.find_latest(order.id, of)
    return render_template(
        "payments/invoice.html",
        order=order,
        of=of,
        papers=invoices.list_of(order.id, of),
        standing=invoices.find_standing(order.id, of),
        fapiao=newest,
        holds_refund_up=newest is not None and fapiao.holds_refund_up(newest),
        kept=kept_of(order, of),
        form=invoice_form or InvoiceForm(formdata=None, title=someone.name),
        fapiao_form=fapiao_form or FapiaoForm(formdata=None, title=someone.name, email=someone.email),
    )


@blueprint.get("/invoices/<public_id>.pdf")
@permission("signed_in")
def invoice_pdf(public_id: str) -> ResponseReturnValue:
    """An invoice or credit note as PDF, for its learner and for finance staff; `?language=` chooses zh or en."""
    found = invoices.get(public_id)
    _check_may_see(found.order)
    wanted = request.args.get("language", "")
    spoken = wanted if wanted in LANGUAGES else language()
    name = f"{found.printed_number}-{spoken}.pdf"
    return send_file(BytesIO(paper.pdf_of(found, spoken)), "application/pdf", as_attachment=True, download_name=name)


@blueprint.get("/fapiao-files/<public_id>")
@permission("signed_in")
def fapiao_file(public_id: str) -> ResponseReturnValue:
    """The file of a fapiao, for its learner and for finance staff; always an attachment, since we did not write it."""
    file, order = fapiao.get_file(public_id)
    _check_may_see(order)
    return send_file(BytesIO(file.content), file.media_type, as_attachment=True, download_name=file.file_name)


def _check_may_see(order: Order) -> None:
    """Raise NotFound for everybody but the order's person and finance staff."""
    if order.person_id != person().id and not person().has_role("finance_officer"):
        raise NotFound


@blueprint.get("/staff/invoices")
@permission("staff:finance_officer")
def staff_invoices() -> ResponseReturnValue:
    """Fapiao that wait for staff, and the documents issued so far."""
    papers, next_before = invoices.list_issued(before=ids.row_number(request.args.get("before", "")))
    waiting, list_sellers = fapiao.list_open(), invoices.list_sellers()
    return render_template(
        "payments/staff_invoices.html",
        papers=papers,
        next_before=next_before,
        waiting=waiting,
        most=fapiao.QUEUE,
        sellers=list_sellers,
    )


@blueprint.get("/staff/fapiao/<public_id>")
@permission("staff:finance_officer")
def staff_fapiao(public_id: str) -> ResponseReturnValue:
    """One request: what was asked, what happened, and what can be done now."""
    return _fapiao_page(fapiao.get(public_id))


@blueprint.post("/staff/fapiao/<public_id>/issue")
@permission("staff:finance_officer")
def issue_fapiao(public_id: str) -> ResponseReturnValue:
    """Record the fapiao that the tax system made."""
    form = IssueForm()
    if not form.validate_on_submit():
        return _fapiao_page(fapiao.get(public_id), issue_form=form), 422
    file = (form.file.data.filename or "", form.file.data.read())
    number, day = form.number.data or "", form.issued_on.data or clock.now().date()
    shown = int(form.shown_minor.data) if form.shown_minor.data else None
    try:
        fapiao.issue(
            public_id,
            number=number,
            issued_on=day,
            file=file,
            shown_minor=shown,
            actor_id=person().id,
            now=clock.now(),
        )
    except Refused as refusal:
        show(form, refusal)
        return _fapiao_page(fapiao.get(public_id), issue_form=form), refusal.status
    return _done(_("The fapiao is recorded and the learner is told."))


@blueprint.post("/staff/fapiao/<public_id>/reject")
@permission("staff:finance_officer")
def reject_fapiao(public_id: str) -> ResponseReturnValue:
    """Say why there will be no fapiao."""
    form = RejectForm()
    if not form.validate_on_submit():
        return _fapiao_page(fapiao.get(public_id), reject_form=form), 422
    try:
        fapiao.reject(public_id, reason=form.reason.data or "", actor_id=person().id, now=clock.now())
    except Refused as refusal:
        show(form, refusal)
        return _fapiao_page(fapiao.get(public_id), reject_form=form), refusal.status
    return _done(_("The request is rejected and the learner is told."))


@blueprint.post("/staff/fapiao/<public_id>/reverse")
@permission("staff:finance_officer")
def reverse_fapiao(public_id: str) -> ResponseReturnValue:
    """Record the red-letter fapiao; refunds that waited for it leave."""
    form = ReverseForm()
    if not form.validate_on_submit():
        return _fapiao_page(fapiao.get(public_id), reverse_form=form), 422
    file = (form.file.data.filename or "", form.file.data.read())
    try:
        fapiao.reverse(public_id, number=form.number.data or "", file=file, actor_id=person().id, now=clock.now())
    except Refused as refusal:
        show(form, refusal)
        return _fapiao_page(fapiao.get(public_id), reverse_form=form), refusal.status
    return _done(_("The reversal is recorded. Refunds that waited for it are on their way."))


def _done(sentence: str) -> Response:
    flash(sentence, "success")
    return redirect(url_for("payments.staff_invoices"), 303)  # type: ignore[return-value]


def _fapiao_page(asked: FapiaoRequest, **forms: FlaskForm) -> str:
    own: dict[str, type[FlaskForm]] = {"issue_form": IssueForm, "reject_form": RejectForm, "reverse_form": ReverseForm}
    shown = {name: forms.get(name) or kind(formdata=None) for name, kind in own.items()}
    shown["issue_form"]["shown_minor"].data = str(asked.amount_minor)
    holds, tax = fapiao.holds_refund_up(asked), invoices.tax_in(asked.order, asked.amount)
    return render_template("payments/staff_fapiao.html", asked=asked, tax=tax, holds_refund_up=holds, **shown)


@blueprint.route("/staff/seller", methods=["GET", "POST"])
@permission("staff:finance_officer")
def seller() -> ResponseReturnValue:
    """The programme as seller: the name, number and address on its invoices."""
    form = SellerForm(obj=sellers.find(None))
    if form.validate_on_submit():
        values = {name: (field.data or "").strip() for name, field in form._fields.items()}
        try:
            sellers.save(None, values)
        except Refused as refusal:
            show(form, refusal)
            return render_template("payments/seller.html", form=form), refusal.status
        return _done(_("The seller is saved."))
    return render_template("payments/seller.html", form=form), 422 if form.errors else 200
