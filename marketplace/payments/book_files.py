"""The books as files for accountants: trial balance and journal, as CSV and as XLSX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.accounts.models import Organisation
from marketplace.foundation import spreadsheets
from marketplace.foundation.database import db
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import pick
from marketplace.foundation.spreadsheets import Cell, Sheet
from marketplace.funding.programme_models import FundingProgramme
from marketplace.payments import books, chart, trial_balance
from marketplace.payments.ledger import ZONE
from marketplace.payments.trial_balance import JournalLine, TrialBalance, Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from marketplace.payments.ledger import CutOff


def trial_balance_file(wish: Wish, kind: str) -> bytes:
    """The trial balance of every currency; as CSV one below the other, as XLSX a sheet for each."""
    sheets = [_balance_sheet(found, wish) for found in trial_balance.trial_balances(wish.cut_off)]
    if kind == "csv":
        return b"\r\n".join(spreadsheets.write_csv(sheet) for sheet in sheets or [_empty_sheet(wish)])
    return spreadsheets.write_xlsx(sheets or [_empty_sheet(wish)])


def _about(wish: Wish, cut_off: CutOff) -> list[tuple[str, str]]:
    """What every file says of itself."""
    recorded = cut_off.recorded.astimezone(ZONE).isoformat(timespec="seconds")
    return [(_("What happened by the end of"), wish.day.isoformat()), (_("As recorded before"), recorded)]


def _empty_sheet(wish: Wish) -> Sheet:
    return Sheet(_("Trial balance"), _about(wish, wish.cut_off), _balance_header(), [])


def _balance_header() -> list[str]:
    return [_("Number"), _("Ledger account"), _("Type"), _("Debit"), _("Credit"), _("Currency")]


def _balance_sheet(found: TrialBalance, wish: Wish) -> Sheet:
    types = chart.type_names()
    rows: list[list[Cell]] = [
        [
            line.account.number,
            str(line.account.name),
            str(types[line.account.type]),
            line.debit.major if line.debit else None,
            line.credit.major if line.credit else None,
            found.currency,
        ]
        for line in found.lines
    ]
    rows.append([None, _("All together"), None, found.debits.major, found.credits.major, found.currency])
    return Sheet(f"{_('Trial balance')} {found.currency}", _about(wish, wish.cut_off), _balance_header(), rows)


def journal_file(wish: Wish, kind: str) -> bytes:
    """Every entry of the period, one a line, with the account's number and whose it is."""
    sheet = Sheet(
        _("Journal"),
        [(_("From the day"), wish.first.isoformat()), *_about(wish, wish.cut_off)],
        [
            _("Posting"),
            _("Kind"),
            _("Occurred"),
            _("Recorded"),
            _("Order"),
            _("Number"),
            _("Ledger account"),
            _("Debit"),
            _("Credit"),
            _("Currency"),
            _("Organisation"),
            _("Funding programme"),
            _("Key"),
        ],
        _journal_rows(wish),
    )
    return spreadsheets.write_csv(sheet) if kind == "csv" else spreadsheets.write_xlsx([sheet])


def _journal_rows(wish: Wish) -> Iterator[list[Cell]]:
    organisations = {one.id: str(pick(one, "name")) for one in db.session.query(Organisation)}
    programmes = {one.id: str(pick(one, "name")) for one in db.session.query(FundingProgramme)}
    kinds = books.posting_names()
    for line in trial_balance.journal(wish.first, wish.cut_off):
        owners = [organisations.get(line.entry.organisation_id or 0), programmes.get(line.entry.programme_id or 0)]
        yield _journal_row(line, owners, kinds)


def _journal_row(line: JournalLine, owners: list[str | None], kinds: dict[str, str]) -> list[Cell]:
    amount = line.entry.amount
    return [
        line.transaction.id,
        kinds.get(line.transaction.kind, line.transaction.kind),
        line.transaction.occurred_at.astimezone(ZONE),
        line.transaction.recorded_at.astimezone(ZONE),
        line.order_number,
        line.account.number,
        str(line.account.name),
        amount.major if amount.minor > 0 else None,
        (-amount).major if amount.minor < 0 else None,
        amount.currency,
        *owners,
        line.transaction.key,
    ]
