from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from marketplace.foundation import spreadsheets
from marketplace.foundation.spreadsheets import Sheet, harmless

SHEET = Sheet(
    "试算",
    [("截至", "2026-03-01")],
    ["编号", "金额", "时间", "日期", "说明"],
    [["=1+1", Decimal("12.50"), datetime(2026, 3, 1, 4, tzinfo=UTC), date(2026, 3, 1), None]],
)


@pytest.mark.parametrize("text", ["=1+1", "+86", "-x", "@a", "＝1", "＋a@example.com", "\t=1", "\r=1", "\n=1"])
def test_what_would_be_calculated_is_guarded_and_comes_back_as_it_was(text):
    assert harmless(text) == f"'{text}"
    assert spreadsheets.unguarded(harmless(text)) == text


@pytest.mark.parametrize("text", ["", "艺术", "a=1", "'a", "1-2"])
def test_other_texts_stay_as_they_are(text):
    assert harmless(text) == spreadsheets.unguarded(text) == text


def test_csv_is_what_excel_reads_and_calculates_nothing():
    written = spreadsheets.write_csv(SHEET)

    assert written.decode("utf-8-sig").splitlines() == [
        "截至,2026-03-01",
        "",
        "编号,金额,时间,日期,说明",
        "'=1+1,12.50,2026-03-01T04:00:00+00:00,2026-03-01,",
    ]
    assert written.startswith(b"\xef\xbb\xbf")


def test_a_workbook_has_numbers_as_numbers_and_text_as_text():
    book = zipfile.ZipFile(io.BytesIO(spreadsheets.write_xlsx([SHEET])))
    page = book.read("xl/worksheets/sheet1.xml").decode()

    assert "<v>12.5" in page
    assert "<f>" not in page
    assert "=1+1" in book.read("xl/sharedStrings.xml").decode()


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_a_spreadsheet_would_calculate_is_text(text):
    assert harmless(text) == f"'{text}"
    assert harmless("1 = 1") == "1 = 1"


def test_a_file_is_saved_under_a_name_in_any_script():
    answer = spreadsheets.attachment(b"x", "xlsx", name="试算平衡表", plain_name="trial-balance")

    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=trial-balance.xlsx; filename*=UTF-8''%E8%AF%95%E7%AE%97%E5%B9%B3%E8%A1%A1%E8%A1%A8.xlsx"
    )
