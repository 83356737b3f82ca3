"""Whether money must wait to go back: an issued fapiao has to be reversed first, since its tax is declared already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.enrolment import orders, returns
from marketplace.enrolment.models import Order
from marketplace.enrolment.refund_rules import BESIDE_THE_PRICE, Payer, left_of
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.payments.invoice_models import FapiaoEvent, FapiaoRequest
from marketplace.payments.invoice_rules import FapiaoState

if TYPE_CHECKING:
    from datetime import datetime


def must_wait(order_id: int, reason: str, *, now: datetime) -> bool:
    """Whether a refund waits for a fapiao's reversal, which is then asked for, once. Locks order and request.

    `reason` is that of the fact. One that is only asked for is lowered to what is left of the payment.
    """
    if reason in BESIDE_THE_PRICE:
        # Money that never bought the place is on no fapiao.
        return False
    with transaction():
        order = locked(Order, order_id)
        standing = select(FapiaoRequest.id).where(
            FapiaoRequest.order_id == order_id,
            FapiaoRequest.state.in_([FapiaoState.REQUESTED, FapiaoState.ISSUED, FapiaoState.REVERSAL_NEEDED]),
        )
        request_id = db.session.scalar(standing)
        if request_id is None:
            return False
        request = locked(FapiaoRequest, request_id)
        if request.state == FapiaoState.REQUESTED:
            _lower(request, now=now)
            return False
        if request.state == FapiaoState.ISSUED:
            request.state = FapiaoState.REVERSAL_NEEDED
            note(request, "need_reversal", now=now, actor_id=None)
            orders.record(order, "refund_waits_for_fapiao", now=now)
        return request.state == FapiaoState.REVERSAL_NEEDED


def _lower(request: FapiaoRequest, *, now: datetime) -> None:
    """A fapiao is made over what is left of the payment; where nothing is, none is made."""
    parts = returns.parts_of([request.order_id])
    left = left_of([part for part in parts if part.payer is Payer.LEARNER])
    if left == request.amount_minor:
        return
    if left:
        request.amount_minor = left
    else:
        request.state = FapiaoState.WITHDRAWN
    note(request, "lower" if left else "withdraw", now=now, actor_id=None, amount=str(left))


def note(request: FapiaoRequest, act: str, *, now: datetime, actor_id: int | None, **details: str) -> FapiaoEvent:
    """Write what happened to a request."""
    return add(
        FapiaoEvent(
            request_id=request.id, act=act, state=request.state, occurred_at=now, actor_id=actor_id, details=details
        )
    )
