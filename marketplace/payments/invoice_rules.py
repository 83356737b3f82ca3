"""Pure decisions about invoices: their numbers, the tax in an amount, what a fapiao may become."""

from __future__ import annotations

from enum import StrEnum


class PaperKind(StrEnum):
    """What a numbered document is; each kind has a series of its own per seller and year."""

    INVOICE = "invoice"
    # What was paid later, for a subsidy that was not earned.
    DEBT_INVOICE = "debt_invoice"
    CREDIT_NOTE = "credit_note"


class FapiaoState(StrEnum):
    """Where a request for a fapiao stands. The last three are final."""

    REQUESTED = "requested"
    ISSUED = "issued"
    REVERSAL_NEEDED = "reversal_needed"
    REVERSED = "reversed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


# From each state where it may go, and by what. The diagram in docs/ is drawn from this table.
FAPIAO_TRANSITIONS: dict[FapiaoState, dict[str, FapiaoState]] = {
    FapiaoState.REQUESTED: {
        "issue": FapiaoState.ISSUED,
        "reject": FapiaoState.REJECTED,
        "withdraw": FapiaoState.WITHDRAWN,
    },
    FapiaoState.ISSUED: {"need_reversal": FapiaoState.REVERSAL_NEEDED, "reverse": FapiaoState.REVERSED},
    FapiaoState.REVERSAL_NEEDED: {"reverse": FapiaoState.REVERSED},
    FapiaoState.REVERSED: {},
    FapiaoState.REJECTED: {},
    FapiaoState.WITHDRAWN: {},
}
SERIES_LETTER = {PaperKind.INVOICE: "", PaperKind.DEBT_INVOICE: "D", PaperKind.CREDIT_NOTE: "C"}
BASIS_POINTS = 10_000


def paper_number(prefix: str, kind: PaperKind, year: int, number: int) -> str:
    """As printed: YJ-2026-000123, YJD-2026-000002 for a debt that was paid, YJC-2026-000004 for a credit note."""
    return f"{prefix}{SERIES_LETTER[kind]}-{year}-{number:06}"


def tax_share(amount_minor: int, *, of_minor: int, tax_minor: int) -> int:
    """The tax inside a part of a taxed amount, in minor units: proportional, halves up; the whole has the whole tax."""
    if of_minor == 0:
        return 0
    return (2 * amount_minor * tax_minor + of_minor) // (2 * of_minor)


def may_become(state: FapiaoState, act: str) -> FapiaoState | None:
    """The state after an act, or None where the act is not possible."""
    return FAPIAO_TRANSITIONS[state].get(act)
