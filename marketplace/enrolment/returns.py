"""Money that goes back, as facts: what each payer paid for orders, what went back of it, and what is to go back now.

Every refund leaves its fact here, whoever asked for it, so what is left can be computed in this room. Payments sends a
learner's money; a funder's and a voucher's share go back by the verbs of their own room.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from marketplace.enrolment import claims, places, refund_rules
from marketplace.enrolment.models import Order, OrderEvent, OrderLine, RefundDue
from marketplace.enrolment.refund_rules import BESIDE_THE_PRICE, Part, Payer, Share
from marketplace.foundation.database import add, db
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


def parts_of(order_ids: Iterable[int]) -> list[Part]:
    """What was paid for these orders by each payer, oldest order first, with what went back before.

    Lock the orders first: whoever gives money back has them locked, so the answer holds until the transaction ends.
    """
    wanted = list(order_ids)
    paid_by = _attempts(wanted)
    returned = _returned(wanted)
    parts = []
    lines = select(OrderLine).where(OrderLine.order_id.in_(wanted)).order_by(OrderLine.order_id, OrderLine.id)
    for line in db.session.scalars(lines):
        attempt = paid_by.get(line.order_id, "")
        by_payer = (
            (Payer.LEARNER, line.due_minor),
            (Payer.FUNDER, line.subsidy_minor),
            (Payer.VOUCHER, line.voucher_minor),
        )
        for payer, paid in by_payer:
            if paid and (payer is not Payer.LEARNER or attempt):
                reference = attempt if payer is Payer.LEARNER else ""
                parts.append(Part(payer, reference, line.order_id, paid, returned[line.order_id, payer], line.id))
    return parts


def _attempts(order_ids: Sequence[int]) -> dict[int, str]:
    """The payment that confirmed each order."""
    query = select(OrderEvent.order_id, OrderEvent.details).where(
        OrderEvent.order_id.in_(order_ids), OrderEvent.kind == "confirmed"
    )
    return {order_id: details["attempt"] for order_id, details in db.session.execute(query) if "attempt" in details}


def has_bought(order_id: int, attempt_public_id: str) -> bool:
    """Whether it was this payment that confirmed the order: money of any other was never sold anything for."""
    return _attempts([order_id]).get(order_id) == attempt_public_id


def _returned(order_ids: Sequence[int]) -> defaultdict[tuple[int, str], int]:
    query = (
        select(RefundDue.order_id, RefundDue.payer, func.sum(RefundDue.amount_minor))
        .where(
            RefundDue.order_id.in_(order_ids), RefundDue.voided_at.is_(None), RefundDue.reason.not_in(BESIDE_THE_PRICE)
        )
        .group_by(RefundDue.order_id, RefundDue.payer)
    )
    found: defaultdict[tuple[int, str], int] = defaultdict(int)
    for order_id, payer, total in db.session.execute(query):
        found[order_id, payer] = int(total)
    return found


def leave(
    shares: Sequence[Share],
    *,
    currency: str,
    reason: str,
    key: str,
    now: datetime,
    source: str = "marketplace",
) -> list[RefundDue]:
    """Leave the fact of each share, once per `key` (which names the decision). Locks vouchers, then programmes.

    Payments picks up the learner's; a voucher gets its share at once; a funder's promise is lowered at once, or ends
    with the place. Raises Refused where the promise is another one by now.
    """
    made = [
        add(
            RefundDue(
                key=f"{key}:{share.part.order_id}:{share.part.payer}",
                order_id=share.part.order_id,
                attempt_public_id=share.part.reference or None,
                payer=share.part.payer,
                source=source,
                amount_minor=share.minor,
                currency=currency,
                reason=reason,
                recorded_at=now,
            )
        )
        for share in shares
    ]
    for fact, share in zip(made, shares, strict=True):
        if share.part.payer is Payer.VOUCHER:
            claims.return_voucher(share.part.line_id, Money(share.minor, currency), now=now)
        if share.lowers:
            claims.lower_subsidy(share.part.line_id, share.minor, reason=reason, now=now)
        if share.part.payer is not Payer.LEARNER:
            fact.picked_up_at = now
    db.session.flush()
    return made


def divide(order_id: int, minor: int, *, place_stays: bool) -> list[Share]:
    """Divide what goes back of an order among those who paid it; a place that stays lowers its subsidy as well.

    By as great a share as that is of all that the buyer paid for the place, by this order and others: lock them all.
    Raises Invalid for more than is left. A promise that ends with the place is not among the shares.
    """
    shares = refund_rules.split_refund(refund_rules.of_buyer(parts_of([order_id])), minor)
    if place_stays:
        parts = parts_of(places.orders_beside(order_id))
        payable = claims.payable([part.line_id for part in parts if part.payer is Payer.FUNDER])
        shares += refund_rules.off_subsidies(parts, payable, minor)
    return shares


def void(fact: RefundDue, *, now: datetime) -> None:
    """The refund failed for good: its amount is left to give back again. The caller has the order locked."""
    fact.voided_at = now
    db.session.flush()


def list_facts(order_id: int) -> Sequence[RefundDue]:
    """What went or is to go back for an order, oldest first."""
    return db.session.scalars(select(RefundDue).filter_by(order_id=order_id).order_by(RefundDue.id)).all()


def currency_of(orders: Iterable[Order]) -> str:
    """The one currency of orders that a place rests on."""
    [currency] = {order.currency for order in orders}
    return currency
