"""Tables as files that a spreadsheet opens: CSV with the mark Excel needs for Chinese, and XLSX with real numbers."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from xlsxwriter.worksheet import Worksheet

Cell = str | int | Decimal | date | datetime | None
# The mark by which Excel knows that a file is UTF-8; without it Chinese turns into rubbish.
BYTE_ORDER_MARK = "\ufeff"
# The wide ones too: Excel in Chinese takes them for the others.
FORMULA_STARTS = (*"=+-@", *"＝＋－＠", "\t", "\r", "\n")
TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
WIDEST = 48


@dataclass(frozen=True)
class Sheet:
    """A table with a name: what it is (lines above it, each a name and a value), its header, its rows."""

    name: str
    about: Sequence[tuple[str, str]]
    header: Sequence[str]
    rows: Iterable[Sequence[Cell]]


def harmless(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would calculate."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def unguarded(text: str) -> str:
    """The text as it was before `harmless`, for a file of ours that comes back."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text


def write_csv(sheet: Sheet) -> bytes:
    """The table as UTF-8 text; moments and days as ISO 8601."""
    out = io.StringIO()
    out.write(BYTE_ORDER_MARK)
    writer = csv.writer(out)
    writer.writerows([harmless(name), harmless(value)] for name, value in sheet.about)
    if sheet.about:
        writer.writerow([])
    writer.writerow([harmless(name) for name in sheet.header])
    writer.writerows([_plain(cell) for cell in row] for row in sheet.rows)
    return out.getvalue().encode()


def _plain(cell: Cell) -> str | int | Decimal:
    if isinstance(cell, str):
        return harmless(cell)
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds")
    return cell.isoformat() if isinstance(cell, date) else "" if cell is None else cell


def write_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """The tables as sheets of one workbook: numbers are numbers, a moment is shown in the zone it carries."""
    out = io.BytesIO()
    # Text stays text: nothing anybody typed is calculated or followed.
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    import xlsxwriter  # noqa: PLC0415 - 10 MB of memory that most processes never need

    with xlsxwriter.Workbook(out, {"in_memory": True, "remove_timezone": True, **plain}) as book:
        bold, moment, day = (
            book.add_format(kind)
            for kind in ({"bold": True}, {"num_format": "yyyy-mm-dd hh:mm:ss"}, {"num_format": "yyyy-mm-dd"})
        )
        amount = book.add_format({"num_format": "#,##0.00"})
        formats = {datetime: moment, date: day, Decimal: amount}
        for sheet in sheets:
            _write_sheet(book.add_worksheet(sheet.name[:31]), sheet, bold, formats)
    return out.getvalue()


def _write_sheet(page: Worksheet, sheet: Sheet, bold: object, formats: dict[type, object]) -> None:
    for line, pair in enumerate(sheet.about):
        page.write_row(line, 0, pair)
    top = len(sheet.about) + 1 if sheet.about else 0
    page.write_row(top, 0, sheet.header, bold)
    page.freeze_panes(top + 1, 0)
    widths = [len(name) for name in sheet.header]
    for line, row in enumerate(sheet.rows, start=top + 1):
        for column, cell in enumerate(row):
            if cell is not None:
                page.write(line, column, cell, formats.get(type(cell)))
                widths[column] = max(widths[column], len(str(cell)))
    for column, width in enumerate(widths):
        page.set_column(column, column, min(width + 2, WIDEST))


def attachment(content: bytes, kind: str, *, name: str, plain_name: str) -> Response:
    """The answer that saves a file (`kind` csv or xlsx) as `name`, or as `plain_name` where that cannot be read."""
    disposition = f"attachment; filename={plain_name}.{kind}; filename*=UTF-8''{quote(name)}.{kind}"
    return Response(content, mimetype=TYPES[kind], headers={"Content-Disposition": disposition})
