"""What an order takes from payers other than the buyer, and gives back when it ends.

The only place where orders meet vouchers and funding programmes. Each function runs inside the order's transaction,
with order and run locked (in that order); a payer's own lock is taken after them, voucher before programme.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.enrolment import subsidising
from marketplace.funding import subsidies, vouchers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from marketplace.enrolment.models import Order
    from marketplace.enrolment.quotes import Asked, Quote
    from marketplace.foundation.money import Money


class ClaimGone(Exception):
    """What a payer had given back cannot be taken again."""


@dataclass(frozen=True)
class Sold:
    """The order that has just been written, by the keys a payer needs."""

    order_id: int
    line_id: int
    run_id: int
    person_id: int


def claim(sold: Sold, quoted: Quote, asked: Asked, *, now: datetime) -> None:
    """Take what the quote promised: redeem the voucher, reserve the subsidy. Raises Refused, which undoes the order.

    Called by `orders.place_order` right after the line exists; not called when the buyer pays everything.
    """
    if quoted.voucher_share is not None:
        vouchers.redeem(quoted.voucher_share, order_line_id=sold.line_id, now=now)
    if quoted.subsidised is not None:
        subsidising.reserve(quoted.subsidised, asked.agreed, sold.order_id, sold.line_id, now=now)


def lock(orders: Iterable[Order]) -> None:
    """Lock the codes that paid or pay for these orders, by id, before one is given back and another taken."""
    vouchers.lock_of([line.id for order in orders for line in order.lines])


def claim_again(order: Order, *, now: datetime) -> None:
    """Take again what an expired order had given back, because its money came late; raises ClaimGone.

    Then the late money goes back to the buyer, and the caller undoes what was taken until then.
    """
    for line in order.lines:
        if not vouchers.redeem_again(line.id, now=now) or not subsidies.reinstate(line.id, now=now):
            raise ClaimGone


def give_back(line_id: int, reason: str, *, now: datetime) -> None:
    """Return what the line took. `reason`: cancelled, expired, superseded, refunded. Twice changes nothing."""
    vouchers.give_back(line_id, now=now)
    subsidies.release(line_id, reason, now=now)


def let_go(line_id: int, reason: str, *, now: datetime) -> None:
    """A place has ended: the subsidy promised for it is let go whole, since its conditions cannot be met any more."""
    subsidies.release(line_id, reason, now=now)


def return_voucher(line_id: int, amount: Money, *, now: datetime) -> None:
    """Give a voucher its share of a refund back, to be spent again."""
    vouchers.give_back(line_id, amount=amount, now=now)
