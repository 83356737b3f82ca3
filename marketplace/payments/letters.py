"""Mails about money that goes back."""

from __future__ import annotations

from sqlalchemy.orm import joinedload

from marketplace.accounts import letters
from marketplace.accounts.models import Person
from marketplace.enrolment.models import Order
from marketplace.foundation import jobs
from marketplace.foundation.database import db, transaction
from marketplace.payments.models import PaymentAttempt, Refund


@jobs.task(name="payments.tell_refund", queue="mail")
def tell(refund_id: int) -> None:
    """Tell a person that money is on its way back, or that it has gone back; of a refused one staff are told."""
    with transaction():
        refund = db.session.get_one(Refund, refund_id, options=[joinedload(Refund.attempt)])
        if refund.state == "failed":
            return
        attempt: PaymentAttempt = refund.attempt
        order = db.session.get_one(Order, attempt.order_id)
        message = "refunded" if refund.state == "succeeded" else "refund_due"
        letters.write(
            db.session.get_one(Person, order.person_id),
            f"payments/{message}",
            key=f"refund:{refund.public_id}",
            order=order,
            line=order.lines[0],
            refund=refund,
        )
