"""Vouchers that keep seats: a batch of codes and the pool of one run that its codes open, issued and ended together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from marketplace.enrolment import pools
from marketplace.enrolment.pools import PoolWish
from marketplace.enrolment.seat_models import Audience, PoolKind, SeatPool
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid
from marketplace.funding import voucher_batches

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.funding.voucher_batches import NewBatch
    from marketplace.funding.voucher_models import VoucherBatch


@dataclass(frozen=True, slots=True)
class KeptSeats:
    """So many seats of one run, kept for the holders of the codes until a moment."""

    run_id: int
    size: int
    release_at: datetime


def issue(wanted: NewBatch, seats: KeptSeats | None, *, actor_id: int, now: datetime) -> VoucherBatch:
    """Issue a batch of codes, and keep seats for their holders; the codes are for that run alone then.

    Locks the run. Raises Invalid by field, beside `kept_seats` when fewer are free, beside
    `kept_until` for a day that is over.
    """
    with transaction():
        if seats is None:
            return voucher_batches.issue(wanted, actor_id=actor_id, now=now)
        pool = _keep(wanted, seats, actor_id=actor_id, now=now)
        terms = replace(wanted.terms, run_ids=frozenset({seats.run_id}))
        return voucher_batches.issue(replace(wanted, terms=terms, seat_pool_id=pool.id), actor_id=actor_id, now=now)


def _keep(wanted: NewBatch, seats: KeptSeats, *, actor_id: int, now: datetime) -> SeatPool:
    kind = PoolKind.SPONSOR if wanted.sponsor_id else PoolKind.CAMPAIGN
    wish = PoolWish(kind.value, Audience.VOUCHER.value, seats.size, seats.release_at)
    try:
        return pools.create_pool(seats.run_id, wish, actor_id=actor_id, now=now)
    except Invalid as wrong:
        field = "kept_until" if "last_day" in (wrong.fields or {}) else "kept_seats"
        raise Invalid(wrong.code, wrong.message, {field: wrong.message}) from wrong


def end_batch(batch: VoucherBatch, *, reason: str, actor_id: int, now: datetime) -> int:
    """End every code of a batch and give the seats nobody used to everyone; how many codes. Locks run, pool, codes."""
    with transaction():
        if batch.seat_pool_id is not None:
            pools.release_pool(batch.seat_pool_id, actor_id=actor_id, now=now)
        return voucher_batches.end_batch(batch.id, reason=reason, actor_id=actor_id, now=now)


def find_pool(batch: VoucherBatch) -> SeatPool | None:
    """The pool that the codes of a batch open, if they open one."""
    return None if batch.seat_pool_id is None else db.session.get(SeatPool, batch.seat_pool_id)
