"""The one search box of the desk: an order by its number, person, payment, refund, code or bank transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.accounts.models import Person
from marketplace.enrolment.models import Order, OrderLine
from marketplace.foundation.database import db
from marketplace.funding import vouchers
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.voucher_models import VoucherRedemption
from marketplace.payments import offline_rules
from marketplace.payments.desk_models import OfflinePayment
from marketplace.payments.models import PaymentAttempt, Refund
from marketplace.payments.stripe_models import StripeTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Select

MOST_HITS = 50
LONGEST_QUERY = 200
SHORTEST_NAME = 2


@dataclass(frozen=True)
class Hit:
    """An order, and what it was found by (a key of desk_words.hit_names)."""

    by: str
    order: Order


def search(text: str) -> list[Hit]:
    """Orders that the text names, each once, by the most exact thing it was found by; newest first within each.

    Ids and codes are compared whole; of a person's name or mail address a part is enough.
    """
    wanted = text.strip()[:LONGEST_QUERY]
    if not wanted:
        return []
    found: dict[int, str] = {}
    for name, find in _WAYS:
        query = find(wanted)
        if query is None:
            continue
        for order_id in db.session.scalars(query.limit(MOST_HITS)):
            found.setdefault(order_id, name)
    orders = _orders(list(found)[:MOST_HITS])
    ways = [name for name, _ in _WAYS]
    return sorted((Hit(found[one.id], one) for one in orders), key=lambda hit: (ways.index(hit.by), -hit.order.id))


def _orders(ids: Sequence[int]) -> Sequence[Order]:
    query = select(Order).where(Order.id.in_(ids)).options(joinedload(Order.person), selectinload(Order.lines))
    return db.session.scalars(query).all()


def _by_number(text: str) -> Select[int]:
    return select(Order.id).where(Order.public_id == text.lower())


def _by_attempt(text: str) -> Select[int]:
    named = (PaymentAttempt.public_id, PaymentAttempt.session_id, PaymentAttempt.payment_intent_id)
    return select(PaymentAttempt.order_id).where(or_(*(column == text for column in named)))


def _by_refund(text: str) -> Select[int]:
    is_it = or_(Refund.public_id == text, Refund.stripe_refund_id == text)
    return select(PaymentAttempt.order_id).join(Refund, Refund.attempt_id == PaymentAttempt.id).where(is_it)


def _by_movement(text: str) -> Select[int]:
    is_it = or_(StripeTransaction.transaction_id == text, StripeTransaction.source_id == text)
    same = StripeTransaction.payment_intent_id == PaymentAttempt.payment_intent_id
    return select(PaymentAttempt.order_id).join(StripeTransaction, same).where(is_it)


def _by_transfer(text: str) -> Select[int]:
    return select(OfflinePayment.order_id).filter_by(bank_reference=offline_rules.normalised(text))


def _by_voucher(text: str) -> Select[int] | None:
    voucher = vouchers.find_by_code(text)
    if voucher is None:
        return None
    return (
        select(OrderLine.order_id)
        .join(VoucherRedemption, VoucherRedemption.order_line_id == OrderLine.id)
        .where(VoucherRedemption.voucher_id == voucher.id)
        .order_by(OrderLine.order_id.desc())
    )


def _by_subsidy(text: str) -> Select[int]:
    joined = select(OrderLine.order_id).join(Subsidy, Subsidy.order_line_id == OrderLine.id)
    return joined.where(Subsidy.public_id == text)


def _by_person(text: str) -> Select[int] | None:
    if len(text) < SHORTEST_NAME:
        return None
    part = "%" + text.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    is_it = or_(Person.public_id == text, func.lower(Person.name).like(part), Person.email.like(part))
    return select(Order.id).join(Order.person).where(is_it).order_by(Order.id.desc())


_WAYS: tuple[tuple[str, Callable[[str], Select[int] | None]], ...] = (
    ("order", _by_number),
    ("attempt", _by_attempt),
    ("refund", _by_refund),
    ("stripe", _by_movement),
    ("transfer", _by_transfer),
    ("voucher", _by_voucher),
    ("subsidy", _by_subsidy),
    ("person", _by_person),
)
