"""The one search box of the desk: an order by its number, people, payments, papers or codes; people without orders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import exists, func, literal_column, or_, select, union
from sqlalchemy.orm import joinedload, selectinload

from marketplace.accounts.models import Person
from marketplace.enrolment.models import Enrolment, EnrolmentSource, Order, OrderLine
from marketplace.foundation.database import db
from marketplace.funding import vouchers
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.voucher_models import VoucherRedemption
from marketplace.payments import offline_rules
from marketplace.payments.desk_models import OfflinePayment, OfflineState
from marketplace.payments.invoice_models import FapiaoRequest, Invoice, Seller
from marketplace.payments.invoice_rules import SERIES_LETTER
from marketplace.payments.models import Discrepancy, PaymentAttempt, Refund
from marketplace.payments.stripe_models import StripePayout, StripeTransaction
from marketplace.payments.unmatched_models import BankMoney, UnmatchedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, CompoundSelect, Select

MOST_HITS = 50
LONGEST_QUERY = 200
SHORTEST_NAME = 2
MOST_PEOPLE = 20
# As invoice_rules.paper_number prints it.
PRINTED = re.compile(r"(?P<series>[A-Z0-9]+)-(?P<year>\d{4})-(?P<number>\d{6,9})")


@dataclass(frozen=True)
class Hit:
    """An order, and what it was found by (a key of desk_words.hit_names)."""

    by: str
    order: Order


@dataclass(frozen=True)
class Found:
    """What a text names: orders, people with neither order nor place, and a payout, which is of many orders."""

    hits: list[Hit]
    people: Sequence[Person]
    payout: StripePayout | None

    @property
    def only_order(self) -> Order | None:
        """The order, where there is nothing else."""
        return self.hits[0].order if len(self.hits) == 1 and not self.people and self.payout is None else None

    @property
    def is_nothing(self) -> bool:
        """Whether nothing at all was found."""
        return not self.hits and not self.people and self.payout is None


def search(text: str) -> Found:
    """Orders that the text names, each once, by the most exact thing it was found by; newest first within each.

    Numbers, ids and codes are compared whole; of a person's name or mail address, or who a fapiao is made out to, a
    part is enough.
    """
    wanted = text.strip()[:LONGEST_QUERY]
    if not wanted:
        return Found([], [], None)
    return Found(_hits(wanted), _people_without_orders(wanted), _payout(wanted))


def _payout(text: str) -> StripePayout | None:
    """One by its id, which at Stripe begins like this."""
    if not text.startswith("po_"):
        return None
    return db.session.scalars(select(StripePayout).filter_by(payout_id=text)).one_or_none()


def _hits(wanted: str) -> list[Hit]:
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
    """By a transfer that was entered for the order, or that staff said belongs to it."""
    reference = offline_rules.normalised(text)
    entered = select(OfflinePayment.order_id).filter_by(bank_reference=reference)
    assigned = (
        select(UnmatchedAnswer.order_id)
        .join(UnmatchedAnswer.discrepancy)
        .join(BankMoney, BankMoney.public_id == Discrepancy.reference)
        .where(BankMoney.bank_reference == reference, UnmatchedAnswer.state == OfflineState.SETTLED)
    )
    return select(Order.id).where(Order.id.in_(entered.union_all(assigned)))


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


def _by_invoice(text: str) -> Select[int] | None:
    """By the number printed on an invoice or credit note; its series is a unique index."""
    printed = PRINTED.fullmatch(text.upper())
    if printed is None:
        return None
    series = [
        (Seller.prefix + letter == printed["series"]) & (Invoice.kind == kind) for kind, letter in SERIES_LETTER.items()
    ]
    query = select(Invoice.order_id).join(Seller, Seller.id == Invoice.seller_id).where(or_(*series))
    return query.where(Invoice.year == int(printed["year"]), Invoice.number == int(printed["number"]))


def _by_fapiao(text: str) -> Select[int]:
    """By the number of a fapiao or of the one that reverses it, or a part of who it is made out to."""
    named = [FapiaoRequest.number == text, FapiaoRequest.reversal_number == text]
    if len(text) >= SHORTEST_NAME:
        title = func.lower(FapiaoRequest.title)
        named.append(_has_bigrams(title, text) & title.like(_part(text)))
    found = union(*(select(FapiaoRequest.id).where(is_it) for is_it in named))
    return select(FapiaoRequest.order_id).where(FapiaoRequest.id.in_(found)).order_by(FapiaoRequest.id.desc())


def _part(text: str) -> str:
    return "%" + text.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"


def _has_bigrams(words: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether any two characters next to each other in a text are so in the words: where it may be a part of them.

    An index tells this, and the words themselves cost much more to ask: so it stands in a query of its own.
    """
    return func.bigrams(words).bool_op("@>")(func.bigrams(text.lower()))


def _people(text: str) -> CompoundSelect[int]:
    """The ids of people by their key, or by a part of name or mail address."""
    name = func.lower(Person.name)
    # As ix_person_bigrams has it.
    words = name.concat(literal_column("' '")).concat(Person.email)
    is_part = or_(name.like(_part(text)), Person.email.like(_part(text)))
    by_key = select(Person.id).where(Person.public_id == text)
    return by_key.union(select(Person.id).where(_has_bigrams(words, text), is_part))


def _by_person(text: str) -> Select[int] | None:
    if len(text) < SHORTEST_NAME:
        return None
    return select(Order.id).where(Order.person_id.in_(_people(text))).order_by(Order.id.desc())


def _by_taker(text: str) -> Select[int] | None:
    """By whoever has or had the place without having ordered it: it was passed on to them."""
    if len(text) < SHORTEST_NAME:
        return None
    return (
        select(Order.id)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .join(EnrolmentSource, EnrolmentSource.order_line_id == OrderLine.id)
        .join(Enrolment, Enrolment.id == EnrolmentSource.enrolment_id)
        .where(Enrolment.person_id != Order.person_id, Enrolment.person_id.in_(_people(text)))
        .order_by(Order.id.desc())
    )


def _people_without_orders(text: str) -> Sequence[Person]:
    if len(text) < SHORTEST_NAME:
        return []
    has_order = exists().where(Order.person_id == Person.id)
    has_place = exists().where(Enrolment.person_id == Person.id)
    query = select(Person).where(Person.id.in_(_people(text)), ~has_order, ~has_place).order_by(Person.id.desc())
    return db.session.scalars(query.limit(MOST_PEOPLE)).all()


_WAYS: tuple[tuple[str, Callable[[str], Select[int] | None]], ...] = (
    ("order", _by_number),
    ("attempt", _by_attempt),
    ("refund", _by_refund),
    ("stripe", _by_movement),
    ("transfer", _by_transfer),
    ("voucher", _by_voucher),
    ("subsidy", _by_subsidy),
    ("invoice", _by_invoice),
    ("fapiao", _by_fapiao),
    ("person", _by_person),
    ("taker", _by_taker),
)
