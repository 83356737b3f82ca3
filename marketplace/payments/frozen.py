"""What a bank holds while it decides: that money is not ours to give back, and Stripe refuses to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.foundation.database import db
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.dispute_rules import DisputeState
from marketplace.payments.models import PaymentAttempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def check(attempts: Iterable[str]) -> None:
    """Raise Refused if one of these payments, by public ids, is in dispute; the caller has its order locked.

    However small the part in dispute, Stripe gives back nothing of that payment (`charge_disputed`). An inquiry holds
    nothing: a refund is one way to answer it.
    """
    query = select(Dispute.id).join(Dispute.attempt).where(Dispute.state == DisputeState.OPEN)
    if db.session.scalar(query.where(PaymentAttempt.public_id.in_(list(attempts))).limit(1)) is not None:
        raise Refused(
            "disputed",
            lazy("A bank is deciding about this payment. Until it has, none of it can be given back from here."),
        )


def list_of_order(order_id: int) -> Sequence[Dispute]:
    """The disputes of an order's payments, oldest first."""
    query = select(Dispute).join(Dispute.attempt).where(PaymentAttempt.order_id == order_id)
    return db.session.scalars(query.order_by(Dispute.id)).all()
