"""Mails about what a learner owes: that it was paid, and that it was given up. Nobody can stop them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.accounts import letters

if TYPE_CHECKING:
    from marketplace.foundation.money import Money
    from marketplace.payments.debts import Debt


def send_settled(debt: Debt, amount: Money, key: str, *, is_given_up: bool = False) -> None:
    """A part or all of a debt is settled: how much, in which way, and what is left. `key` names the payment."""
    letters.write(
        debt.order.person,
        "payments/debt_settled",
        key=f"debt:{key}",
        order=debt.order,
        subsidy=debt.subsidy,
        amount=amount,
        left=debt.left,
        is_given_up=is_given_up,
    )
