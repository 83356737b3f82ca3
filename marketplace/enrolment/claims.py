"""What an order takes from payers other than the buyer, and gives back when it ends.

The only place where orders meet vouchers and funding programmes. Each function runs inside the order's transaction,
with order and run locked (in that order); a payer's own lock is taken after them, voucher before programme.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.enrolment import course_facts, subsidising
from marketplace.enrolment.models import Enrolment, EnrolmentSource
from marketplace.foundation.database import forget
from marketplace.foundation.i18n import speaking
from marketplace.funding import claiming, reducing, subsidies, subsidy_moves, voucher_rules, vouchers
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidies import Line
from marketplace.funding.subsidy_states import COMMITTED
from marketplace.funding.voucher_models import Voucher

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from marketplace.enrolment.models import Order, OrderLine
    from marketplace.enrolment.quotes import Asked, Quote
    from marketplace.foundation.money import Money
    from marketplace.funding.facts import Offer
    from marketplace.funding.subsidy_models import Subsidy
    from marketplace.funding.voucher_rules import Terms


class ClaimGone(Exception):
    """What a payer had given back cannot be taken again."""


@dataclass(frozen=True)
class Sold:
    """The order that has just been written, by the keys a payer needs."""

    line_id: int
    order_number: str
    title_zh: str
    title_en: str


def prepared(quoted: Quote, asked: Asked, *, locale: str, now: datetime) -> dict[str, Any] | None:
    """What the payers of a quote write, for `till`: "code" and "programme"; None if they have to decide under locks.

    Consent is worded in `locale`.
    """
    share, part = quoted.voucher_share, quoted.subsidised
    code, programme = None, None
    if share is not None:
        code = claiming.redemption(share, now=now)
        if code is None:
            return None
    if part is not None:
        with speaking(locale):
            ask = subsidising.ask_of(part, asked.agreed)
        programme = claiming.promise(ask, part.estimate, now=now)
        if programme is None:
            return None
    return {"code": code, "programme": programme, "has_payers": share is not None or part is not None}


def note_written(order: dict[str, Any]) -> None:
    """Let what the ORM may have in hand be read again: the counters of the code and the budget were written past it."""
    if order["code"]:
        forget(Voucher, order["code"]["voucher"], "uses", "spent_minor")
    if order["programme"]:
        forget(FundingProgramme, order["programme"]["programme"], "committed_minor")


def claim(sold: Sold, quoted: Quote, asked: Asked, *, now: datetime) -> None:
    """Take what the quote promised: redeem the voucher, reserve the subsidy. Raises Refused, which undoes the order.

    Called by `orders.place` right after the line exists, when it is placed under the lock; not called when the buyer
    pays everything.
    """
    if quoted.voucher_share is not None:
        vouchers.redeem(quoted.voucher_share, order_line_id=sold.line_id, now=now)
    if quoted.subsidised is not None:
        line = Line(sold.line_id, sold.order_number, sold.title_zh, sold.title_en)
        subsidies.reserve(subsidising.ask_of(quoted.subsidised, asked.agreed), line, now=now)


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


@dataclass(frozen=True)
class Others:
    """Who else pays for the lines behind a place, read once, since a page asks about many runs."""

    subsidies: Sequence[Subsidy]
    codes: Sequence[Terms]

    @property
    def is_anybody(self) -> bool:
        """Whether anybody does."""
        return bool(self.subsidies or self.codes)

    @property
    def have_ended(self) -> bool:
        """Whether no programme promises or pays anything any more."""
        return not any(subsidy.state in COMMITTED for subsidy in self.subsidies)

    def pay(self, offer: Offer, price: Money) -> dict[int, int]:
        """What programmes pay of a seat in another run at this price, in minor units, by the lines they pay it for."""
        paid = {one.order_line_id: subsidy_moves.would_pay(one, offer, price) for one in self.subsidies}
        return {line_id: minor for line_id, minor in paid.items() if minor}

    def are_for(self, offer: Offer) -> bool:
        """Whether the codes may be used for this seat, too; when and by whom was asked when they were redeemed."""
        return all(voucher_rules.is_for_seat(terms, offer) for terms in self.codes)


def others_of(lines: Sequence[OrderLine], *, is_locked: bool = False) -> Others:
    """Who else pays for these lines; `is_locked` locks their codes, then the programmes, until the transaction ends."""
    if is_locked:
        vouchers.lock_of([line.id for line in lines])
    subsidised = [line.id for line in lines if line.subsidy_minor]
    coded = [line.id for line in lines if line.voucher_minor]
    return Others(
        subsidy_moves.list_of(subsidised, is_locked=is_locked) if subsidised else [],
        vouchers.terms_of(coded) if coded else [],
    )


def goes_along(lines: Sequence[OrderLine], to_run_id: int, price: Money, *, is_locked: bool = False) -> dict[int, int]:
    """What programmes pay of a place in another run, as `Others.pay`, and with the locks of `others_of`."""
    others = others_of(lines, is_locked=is_locked)
    return others.pay(course_facts.seat_of(to_run_id), price) if others.subsidies else {}


def follow(line_ids: Iterable[int], to_run_id: int, *, now: datetime) -> frozenset[int]:
    """Let the subsidies of these lines hold for a place in another run; those that do. Locks the programmes."""
    return frozenset(
        line_id for line_id in line_ids if subsidy_moves.follow(line_id, course_facts.seat_of(to_run_id), now=now)
    )


def promised_in(run_id: int) -> tuple[int, int]:
    """How many places in a run a programme has promised to pay a part of, and how much in all, in minor units."""
    lines = (
        select(EnrolmentSource.order_line_id)
        .join(EnrolmentSource.enrolment)
        .where(Enrolment.run_id == run_id, Enrolment.ended_at.is_(None), EnrolmentSource.revoked_at.is_(None))
    )
    return subsidy_moves.promised_for(lines)


def let_go(line_id: int, reason: str, *, now: datetime) -> None:
    """A place has ended: the subsidy promised for it is let go whole, since its conditions cannot be met any more."""
    subsidies.release(line_id, reason, now=now)


def payable(line_ids: Sequence[int]) -> dict[int, int]:
    """What a programme promises or pays of each of these lines now, in minor units."""
    return reducing.payable(line_ids) if line_ids else {}


def lower_subsidy(line_id: int, minor: int, *, reason: str, now: datetime) -> None:
    """Take a funder's share of a refund off its promise, while the place stays."""
    reducing.reduce(line_id, minor, reason=reason, actor_id=None, now=now)


def return_voucher(line_id: int, amount: Money, *, now: datetime) -> None:
    """Give a voucher its share of a refund back, to be spent again."""
    vouchers.give_back(line_id, amount=amount, now=now)
