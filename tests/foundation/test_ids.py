from __future__ import annotations

from marketplace.foundation import ids


def test_a_row_is_named_by_decimal_digits_that_fit_a_bigint():
    assert [ids.row_number(text) for text in ("0", "42", "9" * 18)] == [0, 42, 10**18 - 1]
    assert [ids.row_number(text) for text in ("", "-1", "1.0", "x", "²", "9" * 19)] == [None] * 6
