from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest

from marketplace.foundation import clock
from marketplace.foundation.database import transaction
from marketplace.foundation.money import Money
from marketplace.payments import ledger
from marketplace.payments.posting_rules import Account, Entry
from tests.factories import make_organisation, make_staff, sign_in


@pytest.fixture
def officer(client):
    return sign_in(client, make_staff("finance_officer"))


@pytest.fixture
def posted(app):
    provider = make_organisation(name_zh="=江南大学", name_en="=Jiangnan University")
    entries = [
        Entry(Account.BANK, Money(128050, "CNY")),
        Entry(Account.PROVIDER_PAYABLE, Money(-128050, "CNY"), organisation_id=provider.id),
    ]
    with transaction():
        ledger.post("x", "earned", entries, order_id=None, occurred_at=clock.now())


def test_the_books_say_what_each_account_holds(officer, posted):
    page = officer.get("/staff/books?lang=en").text

    assert page.count("1,280.50") == 5
    assert "Owed to providers" in page
    assert "=Jiangnan University" in page
    assert "Nothing is posted by then" in officer.get("/staff/books?lang=en&day=2020-01-01").text


def test_the_trial_balance_opens_in_a_spreadsheet(officer, posted):
    answer = officer.get("/staff/books.csv?lang=zh")
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))

    assert rows[3] == ["编号", "科目", "类型", "借方", "贷方", "币种"]
    assert rows[4:] == [
        ["1002", "银行存款", "资产", "1280.50", "", "CNY"],
        ["2202", "应付办学机构款", "负债", "", "1280.50", "CNY"],
        ["", "合计", "", "1280.50", "1280.50", "CNY"],
    ]
    book = zipfile.ZipFile(io.BytesIO(officer.get("/staff/books.xlsx?lang=zh").data))
    assert len(re.findall(r"<v>1280\.50?</v>", book.read("xl/worksheets/sheet1.xml").decode())) == 4
    assert "银行存款" in book.read("xl/sharedStrings.xml").decode()


def test_the_journal_is_harmless_to_a_spreadsheet(officer, posted):
    answer = officer.get("/staff/journal.csv?lang=en")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig").split("\r\n\r\n")[1])))

    assert [(row["Number"], row["Debit"], row["Credit"]) for row in rows] == [
        ("1002", "1280.50", ""),
        ("2202", "", "1280.50"),
    ]
    assert rows[1]["Organisation"] == "'=Jiangnan University"
    book = zipfile.ZipFile(io.BytesIO(officer.get("/staff/journal.xlsx?lang=en").data))
    assert "<f>" not in book.read("xl/worksheets/sheet1.xml").decode()


def test_other_kinds_of_file_and_other_people_are_refused(client, officer):
    assert officer.get("/staff/books.exe").status_code == 404

    sign_in(client, make_staff("reviewer"))
    for path in ("/staff/books", "/staff/books.csv", "/staff/journal.xlsx"):
        assert client.get(path).status_code == 403
