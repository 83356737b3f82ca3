"""Invoices, credit notes and receipts as PDF, in either language, from what was frozen when they were issued."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from babel.dates import format_date

from marketplace.foundation import documents
from marketplace.foundation.formats import babel_locale, format_money
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language, speaking
from marketplace.foundation.money import Money
from marketplace.payments.invoice_rules import PaperKind

if TYPE_CHECKING:
    from marketplace.payments.invoice_models import Invoice

Row = dict[str, str]


def pdf_of(invoice: Invoice, spoken: str) -> bytes:
    """The document in a language ("zh" or "en"); the same bytes every time it is asked for."""
    with speaking(spoken):
        return documents.render("money", data_of(invoice), moment=invoice.issued_at)


def data_of(invoice: Invoice) -> dict[str, Any]:
    """What the template prints, in the language spoken here."""
    spoken = language()
    facts = invoice.seller_facts
    line = invoice.lines[0]
    is_credit = invoice.kind == PaperKind.CREDIT_NOTE
    titles = {PaperKind.CREDIT_NOTE: _("Credit note"), PaperKind.DEBT_INVOICE: _("Supplementary invoice")}
    seller_name = facts[f"name_{spoken}"] or facts["name_zh"]
    return {
        "language": spoken,
        "title": titles.get(PaperKind(invoice.kind), _("Invoice")),
        "number": invoice.printed_number,
        "seller": {"name": seller_name, "other_name": facts["name_en" if spoken == "zh" else "name_zh"]},
        "parties": [_seller(facts, seller_name, spoken), _billed(invoice)],
        "facts": _facts(invoice),
        "columns": [_("Course"), _("Amount")],
        "lines": [_line(line, invoice, spoken)],
        "sums": _sums(invoice),
        "total": _row(_("Credited in all") if is_credit else _("Total"), format_money(invoice.total)),
        "notes": _notes(invoice, spoken),
        "footer": seller_name,
    }


def _row(label: str, value: str) -> Row:
    return {"label": label, "value": value}


def _seller(facts: dict[str, str], name: str, spoken: str) -> dict[str, Any]:
    address = facts[f"address_{spoken}"] or facts["address_zh"]
    rows = [_row(_("Tax number"), facts["tax_number"]), _row("", address)]
    return {"label": _("Seller"), "name": name, "rows": [row for row in rows if row["value"]]}


def _billed(invoice: Invoice) -> dict[str, Any]:
    billed = invoice.billed_to
    rows = [_row(_("Tax number"), billed["tax_number"]), _row("", billed["address"])]
    return {"label": _("Made out to"), "name": billed["title"], "rows": [row for row in rows if row["value"]]}


def _facts(invoice: Invoice) -> list[Row]:
    zone = ZoneInfo(invoice.seller_facts["zone"])
    issued = format_date(invoice.issued_at.astimezone(zone), "long", locale=babel_locale())
    rows = [_row(_("Date"), issued), _row(_("Order"), invoice.order.public_id)]
    if invoice.corrects is not None:
        rows.append(_row(_("Corrects invoice"), invoice.corrects.printed_number))
    return [*rows, _row(_("Payer"), invoice.payer), _row(_("Paid by"), invoice.remitter)]


def _notes(invoice: Invoice, spoken: str) -> list[str]:
    line, notes = invoice.lines[0], []
    if programme := line.get(f"programme_{spoken}") or line.get("programme_zh"):
        notes.append(_("For the part of the price that %(programme)s did not pay in the end.", programme=programme))
    if _is_of_a_cancelled_order(invoice):
        notes.append(_("The order is cancelled; this is for the part of its price that is kept by the terms agreed."))
    if invoice.currency == "CNY":
        notes.append(_("This document is not a fapiao; a fapiao is issued on request."))
    return notes


def _is_of_a_cancelled_order(invoice: Invoice) -> bool:
    return invoice.kind == PaperKind.INVOICE and invoice.lines[0].get("is_cancelled", False)


def _starts_from_the_price(invoice: Invoice) -> bool:
    """Whether it leads from the price to its amount; no programme or voucher has paid for a place that was given up."""
    return invoice.kind == PaperKind.INVOICE and not _is_of_a_cancelled_order(invoice)


def _line(line: dict[str, Any], invoice: Invoice, spoken: str) -> dict[str, str]:
    title = line[f"title_{spoken}"] or line["title_zh"] or line["title_en"]
    days = [date.fromisoformat(day) for day in (line["starts_on"], line["ends_on"]) if day]
    note = " – ".join(dict.fromkeys(format_date(day, "long", locale=babel_locale()) for day in days))
    shown = Money(line["price_minor"], invoice.currency) if _starts_from_the_price(invoice) else invoice.total
    return {"title": title, "note": note, "amount": format_money(shown)}


def _sums(invoice: Invoice) -> list[Row]:
    """From the price to what this document is for: who else paid, what went back before, the tax included."""
    rows = []
    if _starts_from_the_price(invoice):
        line = invoice.lines[0]
        others = ((_("Paid by a funding programme"), "subsidy_minor"), (_("Paid by a voucher"), "voucher_minor"))
        rows = [_row(label, format_money(-Money(line[name], invoice.currency))) for label, name in others if line[name]]
        returned = line["due_minor"] - invoice.total_minor
        if returned:
            rows.append(_row(_("Given back before"), format_money(-Money(returned, invoice.currency))))
    rows.append(_row(_("Net amount"), format_money(invoice.total - invoice.tax)))
    rows.append(_row(_("Tax included"), format_money(invoice.tax)))
    return rows
