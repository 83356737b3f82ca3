"""Rows of any table, read as somebody mapped them."""

from datetime import UTC, datetime

import pytest

from marketplace.catalog import mapping_rules as rules
from marketplace.catalog.import_rules import CourseRow, Fault, RunRow
from marketplace.catalog.mapping_rules import Plan
from marketplace.foundation.errors import Invalid

COURSES = Plan("courses", "academy", {"key": "编号", "title_zh": "名称", "provider": "学校", "topics": "技能"})
COLUMNS = {
    "key": "id",
    "course_key": "course",
    "price": "fee",
    "starts": "from",
    "ends": "to",
    "mode": "how",
    "seats": "n",
}
RUNS = Plan("runs", "academy", COLUMNS)


def read(plan, **row):
    return rules.mapping_of(plan).read(row)


def run(**changes):
    return read(
        RUNS, **({"id": "r1", "course": "c1", "fee": "1,280", "from": "2027/3/1", "to": "2027-03-09"} | changes)
    )


def test_a_course_is_read_by_its_columns():
    row = read(COURSES, 编号=7, 名称=" 数字  修复 ", 学校="澄江大学", 技能="修复，建模; 3D")

    assert row == CourseRow(key="7", provider="澄江大学", title_zh="数字 修复", topics=("修复", "建模", "3D"))
    assert isinstance(read(COURSES, 编号="7", 名称="", 学校="x"), Fault)


def test_a_run_is_read_in_the_zone_and_currency_of_its_table():
    row = run(how="线上", n="12", **{"from": "2027-03-01"})

    assert isinstance(row, RunRow)
    assert (row.price.minor, row.price.currency, row.mode, row.capacity) == (128000, "CNY", "online", 12)
    assert row.starts_at == datetime(2027, 3, 1, 1, tzinfo=UTC)
    assert row.ends_at == datetime(2027, 3, 9, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": ""}, "run_incomplete"),
        ({"course": ""}, "run_incomplete"),
        ({"fee": "cheap"}, "price"),
        ({"fee": "-1"}, "price"),
        ({"fee": "1e25"}, "price"),
        ({"how": "by post"}, "mode"),
        ({"from": "2027-03-20"}, "order"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(changes, code):
    fault = run(**changes)

    assert isinstance(fault, Fault)
    assert fault.note.code == code


def test_a_run_without_days_is_a_draft():
    row = run(**{"from": "soon", "to": ""})

    assert (row.starts_at, [note.code for note in row.notes]) == (None, ["undated"])


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (Plan("courses", "My Academy", COURSES.columns), "import_source"),
        (Plan("courses", "academy", {"key": "编号", "title_zh": "名称"}), "import_needed"),
        (Plan("courses", "academy", COURSES.columns | {"url": "gone"}), "import_columns"),
        (Plan("runs", "academy", {"key": "编号"}), "import_needed"),
    ],
)
def test_a_plan_names_what_every_row_needs(plan, code):
    with pytest.raises(Invalid) as refused:
        rules.check(plan, ["编号", "名称", "学校", "技能"])

    assert refused.value.code == code


def test_columns_are_shown_with_their_first_values():
    rows = [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": 3}, {"a": 4}]

    assert rules.samples(rows) == {"a": ["1", "2", "3"], "b": ["x"]}
