"""Where vouchers are found, used and given back. Every change locks the code's row, after the run and its seats.

A code pays once for a line, and never past its caps: the decision is made again under the lock, the counters are
written in the same transaction, and the database checks them. What a code paid is told by redemptions and movements;
the books read the movements, each once.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.accounts import keys
from marketplace.foundation.database import add, db, locked, one_row, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.funding import voucher_rules
from marketplace.funding.voucher_models import MovementKind, Voucher, VoucherMovement, VoucherRedemption
from marketplace.funding.voucher_rules import Standing, Terms, ValueKind, VoucherRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.funding.facts import Buyer, Offer

LONGEST_CODE = 64
# Runs, courses, providers, persons and domains: the last columns of _ASSESS and the last fields of Terms.
BOUNDS = 5


@dataclass(frozen=True, slots=True)
class VoucherShare:
    """What a code would pay for this buyer of `to_pay`, as it stood when asked; `redeem` asks again under the lock."""

    voucher_id: int
    label: str
    amount: Money
    # What was left on the code, when that is why it pays no more.
    left: Money | None
    buyer: Buyer
    offer: Offer
    to_pay: Money
    # The part of the run's seats the code may take, if it keeps one.
    seat_pool_id: int | None
    sponsor_id: int | None
    # How often one person may use it.
    person_cap: int | None


class VoucherChanged(Refused):
    """Between showing and using, somebody else used the code: it pays another amount now, to be shown again."""

    def __init__(self) -> None:
        """Say it as the page does."""
        super().__init__(
            "voucher_changed", lazy("What your code pays has changed since you saw it. Please look at the price again.")
        )


def find_by_code(code: str) -> Voucher | None:
    """The voucher of a code however it was typed, with its batch, if there is one; takes the same time for both."""
    digest = _digest(code)
    found = db.session.scalar(
        select(Voucher).where(Voucher.code_hash == digest).options(joinedload(Voucher.batch))
    )  # fmt: skip
    # The index compares hashes, not codes: how far two of them agree tells nothing about a code.
    return found if found is not None and hmac.compare_digest(found.code_hash, digest) else None


def _digest(code: str) -> str:
    return keys.digest(voucher_rules.normal_code(code[:LONGEST_CODE]))


_ASSESS = """
SELECT voucher.code_hash, voucher.id, coalesce(voucher.word, '…' || upper(voucher.code_tail)), voucher.uses,
       voucher.spent_minor, voucher.ended_at IS NOT NULL, batch.sponsor_id, batch.seat_pool_id, batch.zone,
       (SELECT coalesce(sum(movement.uses), 0)::int
          FROM voucher_redemption AS mine JOIN voucher_movement AS movement ON movement.redemption_id = mine.id
         WHERE mine.voucher_id = voucher.id AND mine.person_id = %(person)s),
       batch.value_kind, batch.currency, batch.amount_minor, batch.percent, batch.use_cap, batch.money_cap_minor,
       batch.person_cap, batch.starts_on, batch.ends_on, batch.run_ids, batch.course_ids, batch.provider_ids,
       batch.person_ids, batch.email_domains
  FROM voucher JOIN voucher_batch AS batch ON batch.id = voucher.batch_id
 WHERE voucher.code_hash = %(digest)s
"""


def assess(code: str, *, buyer: Buyer, offer: Offer, to_pay: Money, now: datetime) -> VoucherShare:
    """What a code would pay of what is left for the buyer; one statement, no lock. Raises VoucherRefused saying why."""
    return _assess(_digest(code), buyer=buyer, offer=offer, to_pay=to_pay, now=now)


def _assess(digest: str, *, buyer: Buyer, offer: Offer, to_pay: Money, now: datetime) -> VoucherShare:
    row = one_row(_ASSESS, {"digest": digest, "person": buyer.person_id})
    # The index compares hashes, not codes: how far two of them agree tells nothing about a code.
    if row is None or not hmac.compare_digest(row[0], digest):
        raise VoucherRefused(
            "voucher_unknown", lazy("We do not know this code. Please check it character by character.")
        )
    _hash, voucher_id, label, uses, spent, is_ended, sponsor_id, seat_pool_id, zone, by_person, kind, *rest = row
    terms = Terms(ValueKind(kind), *rest[:-BOUNDS], *map(frozenset, rest[-BOUNDS:]))
    standing = Standing(uses, spent, by_person, is_ended)
    today = now.astimezone(ZoneInfo(zone)).date()
    amount, left = voucher_rules.decide(terms, standing, buyer=buyer, offer=offer, to_pay=to_pay, today=today)
    return VoucherShare(
        voucher_id, label, amount, left, buyer, offer, to_pay, seat_pool_id, sponsor_id, terms.person_cap
    )  # fmt: skip


def redeem(share: VoucherShare, *, order_line_id: int, now: datetime) -> VoucherRedemption:
    """Let the code pay its share of an order line, in the caller's transaction. Locks the code.

    The order's line keeps `share.amount` as `voucher_minor`. Raises VoucherRefused, or VoucherChanged when the code
    would pay another amount now; then nothing is written.
    """
    with transaction():
        voucher = locked(Voucher, share.voucher_id)
        found = _assess(voucher.code_hash, buyer=share.buyer, offer=share.offer, to_pay=share.to_pay, now=now)
        if found.amount != share.amount:
            raise VoucherChanged
        redemption = add(
            VoucherRedemption(
                voucher_id=voucher.id,
                order_line_id=order_line_id,
                person_id=share.buyer.person_id,
                sponsor_id=found.sponsor_id,
                amount_minor=found.amount.minor,
                currency=found.amount.currency,
                redeemed_at=now,
            )
        )
        _move(voucher, redemption, MovementKind.REDEEMED, found.amount.minor, uses=1, now=now)
        return redemption


def give_back(order_line_id: int, *, amount: Money | None = None, now: datetime) -> Money | None:
    """Take back what a code paid for a line: `amount` of it, or with None all that is still paid. Locks the code.

    The money can be spent again; once nothing of it is kept, the use can be too. Returns what was taken back, None if
    no code paid for the line. Taking everything back twice changes nothing. Raises Refused for more than is kept.
    """
    with transaction():
        redemption = find_redemption(order_line_id)
        if redemption is None:
            return None
        voucher = locked(Voucher, redemption.voucher_id)
        kept, uses = _kept(redemption)
        back = kept if amount is None else amount.minor
        if not 0 <= back <= kept:
            raise Refused("voucher_kept_less", lazy("The code did not pay that much for this order."))
        if back:
            is_all = back == kept
            _move(voucher, redemption, MovementKind.RETURNED, -back, uses=-uses if is_all else 0, now=now)
        return Money(back, redemption.currency)


def redeem_again(order_line_id: int, *, now: datetime) -> bool:
    """Let the code pay its whole share once more, for an order that late money revives. Locks the code.

    Its dates are not asked again, since it was used in time; its caps are, that of the person too. False if they leave
    too little, and then nothing is changed; True if it pays (or still did), or if no code paid for the line.
    """
    with transaction():
        redemption = find_redemption(order_line_id)
        if redemption is None:
            return True
        voucher = locked(Voucher, redemption.voucher_id)
        kept, uses = _kept(redemption)
        missing = redemption.amount_minor - kept
        if not missing:
            return True
        has_use = uses > 0 or _has_use_for(voucher, redemption.person_id)
        has_money = voucher.money_cap_minor is None or voucher.spent_minor + missing <= voucher.money_cap_minor
        if has_use and has_money:
            _move(voucher, redemption, MovementKind.REDEEMED_AGAIN, missing, uses=1 - uses, now=now)
        return has_use and has_money


def _has_use_for(voucher: Voucher, person_id: int) -> bool:
    """Whether the code, which is locked, may be used once more, and by this person."""
    mine = select(func.coalesce(func.sum(VoucherMovement.uses), 0)).join(VoucherMovement.redemption)
    mine = mine.where(VoucherRedemption.voucher_id == voucher.id, VoucherRedemption.person_id == person_id)
    has_own = voucher.batch.person_cap is None or int(db.session.scalar(mine) or 0) < voucher.batch.person_cap
    return has_own and (voucher.use_cap is None or voucher.uses < voucher.use_cap)


def lock_of(order_line_ids: Sequence[int]) -> None:
    """Lock every code that paid or pays for these lines, by id."""
    query = select(VoucherRedemption.voucher_id).where(VoucherRedemption.order_line_id.in_(order_line_ids))
    for voucher_id in sorted(set(db.session.scalars(query))):
        locked(Voucher, voucher_id)


def terms_of(order_line_ids: Sequence[int]) -> list[Terms]:
    """The terms of the codes that pay parts of these lines."""
    query = select(VoucherRedemption).where(VoucherRedemption.order_line_id.in_(order_line_ids))
    query = query.options(joinedload(VoucherRedemption.voucher).joinedload(Voucher.batch))
    return [redemption.voucher.batch.terms for redemption in db.session.scalars(query)]


def find_redemption(order_line_id: int) -> VoucherRedemption | None:
    """What a code paid for this line, if one did."""
    return db.session.scalar(select(VoucherRedemption).where(VoucherRedemption.order_line_id == order_line_id))


def _kept(redemption: VoucherRedemption) -> tuple[int, int]:
    """Money and use that the redemption still holds; read under the lock of its code."""
    money, uses = func.sum(VoucherMovement.amount_minor), func.sum(VoucherMovement.uses)
    query = select(money, uses).where(VoucherMovement.redemption_id == redemption.id)
    kept, held = db.session.execute(query).one()
    return int(kept), int(held)


def _move(
    voucher: Voucher, redemption: VoucherRedemption, kind: MovementKind, minor: int, *, uses: int, now: datetime
) -> None:
    voucher.spent_minor += minor
    voucher.uses += uses
    add(
        VoucherMovement(
            redemption_id=redemption.id,
            kind=kind.value,
            amount_minor=minor,
            uses=uses,
            occurred_at=now,
            recorded_at=now,
        )
    )
    db.session.expire(redemption, ["movements"])
