from __future__ import annotations

from marketplace.payments.chart import CHART
from marketplace.payments.posting_rules import Account


def test_every_account_has_one_line_and_a_number_of_its_own():
    assert sorted(line.code for line in CHART) == sorted(Account)
    assert len({line.number for line in CHART}) == len(CHART)
    assert [line.number for line in CHART] == sorted(line.number for line in CHART)
