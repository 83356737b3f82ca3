from hypothesis import given
from hypothesis import strategies as st

from marketplace.payments.invoice_rules import (
    FAPIAO_TRANSITIONS,
    FapiaoState,
    PaperKind,
    may_become,
    paper_number,
    tax_share,
)

AMOUNTS = st.integers(0, 10**10)


def test_numbers_are_printed_with_their_series():
    assert paper_number("YJ", PaperKind.INVOICE, 2026, 123) == "YJ-2026-000123"
    assert paper_number("YJ", PaperKind.DEBT_INVOICE, 2026, 2) == "YJD-2026-000002"
    assert paper_number("YJ", PaperKind.CREDIT_NOTE, 2027, 4) == "YJC-2027-000004"


def test_the_tax_of_a_part_is_rounded_half_up():
    assert tax_share(50, of_minor=100, tax_minor=5) == 3
    assert tax_share(49, of_minor=100, tax_minor=5) == 2
    assert tax_share(0, of_minor=0, tax_minor=0) == 0


@given(AMOUNTS, AMOUNTS, st.integers(0, 100))
def test_the_tax_of_a_part_is_within_it_and_the_whole_has_the_whole(part, rest, percent):
    whole = part + rest
    tax = whole * percent // 100

    assert 0 <= tax_share(part, of_minor=whole, tax_minor=tax) <= part
    assert tax_share(whole, of_minor=whole, tax_minor=tax) == tax


def test_every_state_of_a_fapiao_is_in_the_table_and_the_last_are_final():
    assert set(FAPIAO_TRANSITIONS) == set(FapiaoState)
    assert {state for state, acts in FAPIAO_TRANSITIONS.items() if not acts} == {
        FapiaoState.REVERSED,
        FapiaoState.REJECTED,
        FapiaoState.WITHDRAWN,
    }
    assert may_become(FapiaoState.REJECTED, "issue") is None
    assert may_become(FapiaoState.REQUESTED, "issue") is FapiaoState.ISSUED
