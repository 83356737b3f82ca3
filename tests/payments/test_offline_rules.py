from __future__ import annotations

import pytest

from marketplace.foundation.money import Money
from marketplace.payments.offline_rules import needs_second_officer, normalised


@pytest.mark.parametrize(
    ("amount", "is_needed"),
    [
        (Money(500000, "CNY"), False),
        (Money(500001, "CNY"), True),
        (Money(5000, "JPY"), False),
        (Money(5001, "JPY"), True),
    ],
)
def test_above_the_limit_a_second_officer_must_look(amount, is_needed):
    assert needs_second_officer(amount, limit=5000) is is_needed


def test_a_reference_is_the_same_however_it_is_typed():
    assert normalised(" icbc 2026-1104 ") == normalised("ICBC2026-1104") == "ICBC2026-1104"
