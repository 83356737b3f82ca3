from datetime import UTC, datetime

import pytest

from marketplace.foundation import documents

DATA = {
    "language": "zh",
    "title": "账单",
    "number": "YJ-2026-000001",
    "seller": {"name": "艺匠", "other_name": "Yijiang"},
    "parties": [{"label": "抬头", "name": "喆堃 Ltd #[x]", "rows": [{"label": "税号", "value": "9131"}]}],
    "facts": [{"label": "日期", "value": "2026年3月10日"}],
    "columns": ["课程", "金额"],
    "lines": [{"title": "壁画 *not bold* $x$", "note": "", "amount": "¥1.00"}],
    "sums": [],
    "total": {"label": "合计", "value": "¥1.00"},
    "notes": [],
    "footer": "艺匠",
}
MOMENT = datetime(2026, 3, 10, 2, tzinfo=UTC)


def test_the_same_data_gives_the_same_bytes(app):
    first, second = (documents.render("money", DATA, moment=MOMENT) for _ in range(2))

    assert first == second
    assert first.startswith(b"%PDF-")
    assert documents.render("money", DATA | {"number": "YJ-2026-000002"}, moment=MOMENT) != first


@pytest.mark.parametrize(
    ("name", "said"), [("李喆", ""), ("王䶮䶮㑇", "䶮㑇"), ("Łukasz Ångström", ""), ("two\nlines", "")]
)
def test_characters_without_a_glyph_are_known(app, name, said):
    assert documents.lacking(name) == said


def test_a_character_without_a_glyph_is_printed_as_its_code(app):
    assert documents._printable({"names": ["王䶮"]}) == {"names": ["王〔U+4DAE〕"]}
