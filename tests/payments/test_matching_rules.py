from __future__ import annotations

from decimal import Decimal

import pytest

from marketplace.foundation.money import Money
from marketplace.payments.matching_rules import OurFact, Verdict, judge

THEIRS = Money(128000, "CNY")


def fact(minor=128000, currency="CNY", *, is_booked=True):
    return OurFact("payment:x", Money(minor, currency), is_booked=is_booked)


@pytest.mark.parametrize(
    ("theirs", "rate", "ours", "verdict"),
    [
        (THEIRS, None, fact(), Verdict.MATCHED),
        (THEIRS, None, fact(127999), Verdict.DIFFERS),
        (THEIRS, None, fact(-128000), Verdict.DIFFERS),
        (THEIRS, None, fact(is_booked=False), Verdict.MISSING_HERE),
        (THEIRS, None, None, Verdict.UNKNOWN),
        (Money(18012, "USD"), Decimal("0.140714"), fact(), Verdict.MATCHED),
        (Money(18011, "USD"), Decimal("0.140714"), fact(), Verdict.MATCHED),
        (Money(18009, "USD"), Decimal("0.140714"), fact(), Verdict.DIFFERS),
        (Money(18011, "USD"), None, fact(), Verdict.DIFFERS),
    ],
)
def test_a_movement_is_held_against_a_fact(theirs, rate, ours, verdict):
    assert judge(theirs, rate, ours) is verdict
