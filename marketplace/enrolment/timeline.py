"""Where a line is written into an order's timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.enrolment import letters
from marketplace.enrolment.models import OrderEvent
from marketplace.foundation.database import add

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.enrolment.models import Order


def record(
    order: Order,
    kind: str,
    *,
    now: datetime,
    actor_id: int | None = None,
    details: dict[str, Any] | None = None,
) -> OrderEvent:
    """Write a line into the order's timeline, and have the person told of it where a mail is due."""
    event = add(OrderEvent(order_id=order.id, kind=kind, occurred_at=now, actor_id=actor_id, details=details or {}))
    letters.follow(event)
    return event
