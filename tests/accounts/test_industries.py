"""The sectors offered are the national standard's."""

import json

from marketplace.accounts.industries import GROUPS, INDUSTRIES, OTHER


def test_each_sector_is_named_as_in_gbt_4754(shared_data):
    rows = json.loads((shared_data / "gbt4754" / "gbt4754.json").read_text(encoding="utf-8"))
    names = {code: row["name"].strip() for row in rows for code in (row["class4"], row["class3"]) if code}
    groups = {row["class3"]: row["name"].strip() for row in rows if row["level"] == "3"}
    standard = names | groups

    ours = {code: industry.name_zh for code, industry in INDUSTRIES.items() if code != OTHER}
    assert ours == {code: standard[code] for code in ours}


def test_section_r_is_offered_division_by_division():
    assert {code[:2] for code in INDUSTRIES if code != OTHER} >= {"86", "87", "88", "89", "90"}


def test_no_sector_is_offered_twice():
    assert len(INDUSTRIES) == sum(len(group.industries) for group in GROUPS)
