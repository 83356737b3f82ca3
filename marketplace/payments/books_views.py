"""Doors to the books: the trial balance at a cut-off, and files for accountants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template, request, url_for

from marketplace.accounts.permissions import permission
from marketplace.foundation import clock, spreadsheets
from marketplace.foundation.errors import NotFound
from marketplace.foundation.i18n import gettext as _
from marketplace.payments import book_files, chart, revenue_terms, trial_balance
from marketplace.payments.blueprint import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/staff/books")
@permission("staff:finance_officer")
def books() -> ResponseReturnValue:
    """The trial balance by the end of a day, as known at a day: every account with its meaning."""
    wish = trial_balance.read_wish(request.args, now=clock.now())
    return render_template(
        "payments/books.html",
        wish=wish,
        balances=trial_balance.trial_balances(wish.cut_off),
        providers=trial_balance.list_owed_to_providers(wish.cut_off),
        programmes=trial_balance.list_owed_by_programmes(wish.cut_off),
        sponsors=trial_balance.list_owed_by_sponsors(wish.cut_off),
        types=chart.type_names(),
        chart=chart.CHART,
        terms=revenue_terms.list_default(),
        files=_files(wish),
    )


def _files(wish: trial_balance.Wish) -> list[tuple[str, str]]:
    """What can be saved: (label, address)."""
    labels = {
        "payments.books_file": (_("Trial balance as XLSX"), _("Trial balance as CSV")),
        "payments.journal_file": (_("Journal as XLSX"), _("Journal as CSV")),
    }
    return [
        (label, url_for(endpoint, kind=kind, **wish.arguments))  # type: ignore[arg-type]  # all are texts
        for endpoint, pair in labels.items()
        for kind, label in zip(("xlsx", "csv"), pair, strict=True)
    ]


@blueprint.get("/staff/books.<kind>")
@permission("staff:finance_officer")
def books_file(kind: str) -> ResponseReturnValue:
    """The trial balance for a spreadsheet."""
    _check_kind(kind)
    wish = trial_balance.read_wish(request.args, now=clock.now())
    content = book_files.trial_balance_file(wish, kind)
    name = f"{_('Trial balance')}-{wish.day.isoformat()}"
    return spreadsheets.attachment(content, kind, name=name, plain_name=f"trial-balance-{wish.day.isoformat()}")


@blueprint.get("/staff/journal.<kind>")
@permission("staff:finance_officer")
def journal_file(kind: str) -> ResponseReturnValue:
    """Every entry of a period for a spreadsheet."""
    _check_kind(kind)
    wish = trial_balance.read_wish(request.args, now=clock.now())
    content = book_files.journal_file(wish, kind)
    name = f"{_('Journal')}-{wish.first.isoformat()}-{wish.day.isoformat()}"
    plain = f"journal-{wish.first.isoformat()}-{wish.day.isoformat()}"
    return spreadsheets.attachment(content, kind, name=name, plain_name=plain)


def _check_kind(kind: str) -> None:
    if kind not in spreadsheets.TYPES:
        raise NotFound
