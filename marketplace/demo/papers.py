"""The demo's seller, the learner's invoice, and fapiao that wait for finance staff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import exists, select

from marketplace.enrolment.models import Order, OrderState, RefundDue
from marketplace.foundation.database import db
from marketplace.payments import fapiao, invoices, sellers
from marketplace.payments.fapiao import FapiaoWish
from marketplace.payments.invoices import BilledTo
from marketplace.payments.models import AttemptState, PaymentAttempt, Purpose

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Select

# Invented numbers with a right check digit.
SELLER = {
    "name_zh": "艺匠人才发展中心（演示）",
    "name_en": "Yijiang Talent Development Centre (demo)",
    "tax_number": "91310000MADEM00019",
    "address_zh": "上海市徐汇区演示路 1 号",
    "address_en": "1 Yanshi Road, Xuhui, Shanghai",
    "prefix": "YJ",
}
STUDIO_NUMBER = "91310000MADEM0002C"
WAITING = 3


def write_papers(learner_id: int, *, now: datetime) -> None:
    """Set up the seller, issue the learner's first invoice, and ask for a few fapiao."""
    sellers.save(None, SELLER)
    orders = db.session.scalars(_paid_orders().where(Order.person_id == learner_id).limit(1)).all()
    for order in orders:
        billed = BilledTo(kind="personal", title=order.person.name)
        invoices.issue(order.id, billed, actor_id=learner_id, now=now)
    for order in db.session.scalars(_paid_orders().where(Order.person_id != learner_id).limit(WAITING)).all():
        title = f"{order.person.name}工作室"
        fapiao.request(order.id, FapiaoWish("company", title, STUDIO_NUMBER, order.person.email), now=now)


def _paid_orders() -> Select[Order]:
    """Orders of which all is kept, newest first."""
    went_back = exists().where(RefundDue.order_id == Order.id)
    return (
        select(Order)
        .join(PaymentAttempt, PaymentAttempt.order_id == Order.id)
        .where(Order.state == OrderState.CONFIRMED, Order.total_minor > 0, ~went_back)
        .where(PaymentAttempt.state == AttemptState.PAID, PaymentAttempt.purpose == Purpose.ORDER)
        .order_by(Order.placed_at.desc(), Order.id.desc())
    )
