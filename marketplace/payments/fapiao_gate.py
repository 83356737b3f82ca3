"""Whether money must wait to go back: an issued fapiao has to be reversed first, since its tax is declared already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.enrolment import orders
from marketplace.enrolment.models import Order
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.payments.invoice_models import FapiaoEvent, FapiaoRequest
from marketplace.payments.invoice_rules import FapiaoState
from marketplace.payments.kept import kept_of

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.foundation.money import Money
    from marketplace.payments.models import Purpose


def must_wait(order_id: int, purpose: Purpose, *, now: datetime) -> bool:
    """Whether what goes back waits for a fapiao's reversal, which is then asked for, once. Locks order and request.

    The fact that it is due is there already. A fapiao over no more than what is kept hinders nothing: money that never
    bought the place is on none. One that is only asked for is lowered to what is kept.
    """
    return _follow(order_id, purpose, told_as="refund_waits_for_fapiao", now=now)


def note_gone(order_id: int, purpose: Purpose, *, now: datetime) -> None:
    """The same for money that is gone already: nothing waits, but a fapiao over it has to be reversed all the same."""
    _follow(order_id, purpose, told_as=None, now=now)


def _follow(order_id: int, purpose: Purpose, *, told_as: str | None, now: datetime) -> bool:
    with transaction():
        order = locked(Order, order_id)
        standing = select(FapiaoRequest.id).where(
            FapiaoRequest.order_id == order_id,
            FapiaoRequest.purpose == purpose,
            FapiaoRequest.state.in_([FapiaoState.REQUESTED, FapiaoState.ISSUED, FapiaoState.REVERSAL_NEEDED]),
        )
        request_id = db.session.scalar(standing)
        if request_id is None:
            return False
        request, kept = locked(FapiaoRequest, request_id), kept_of(order, purpose)
        if request.amount_minor <= kept.minor:
            return False
        if request.state == FapiaoState.REQUESTED:
            _lower(request, kept, now=now)
            return False
        if request.state == FapiaoState.ISSUED:
            request.state = FapiaoState.REVERSAL_NEEDED
            note(request, "need_reversal", now=now, actor_id=None)
            if told_as is not None:
                orders.record(order, told_as, now=now)
        return True


def _lower(request: FapiaoRequest, kept: Money, *, now: datetime) -> None:
    """A fapiao is made over what is kept of the payment; where nothing is, none is made."""
    if kept.is_zero:
        request.state = FapiaoState.WITHDRAWN
    else:
        request.amount_minor = kept.minor
    act = "withdraw" if kept.is_zero else "lower"
    note(request, act, now=now, actor_id=None, amount=str(kept.minor))


def note(request: FapiaoRequest, act: str, *, now: datetime, actor_id: int | None, **details: str) -> FapiaoEvent:
    """Write what happened to a request."""
    return add(
        FapiaoEvent(
            request_id=request.id, act=act, state=request.state, occurred_at=now, actor_id=actor_id, details=details
        )
    )
