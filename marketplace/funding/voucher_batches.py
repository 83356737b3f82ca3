"""Where staff issue codes, look at what became of them, draw them again and end them.

A drawn code comes out of the server's key, the batch and its number, so it is stored nowhere: the table keeps its hash
to find it, and staff can have the list again while the key is the same. A copy of the database alone tells no code.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import joinedload

from marketplace.accounts import keys
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.money import Money
from marketplace.funding import voucher_rules
from marketplace.funding.voucher_models import Voucher, VoucherBatch, VoucherEvent, VoucherRedemption
from marketplace.funding.voucher_rules import LONGEST_WORD, SHORTEST_WORD, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from flask_babel import LazyString

MOST_CODES = 2000
PAGE = 30
LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What staff ask for: so many codes on these terms, or one code that is the word of a campaign."""

    name: str
    terms: Terms
    size: int = 1
    word: str = ""
    uncapped_words: str = ""
    sponsor_id: int | None = None
    seat_pool_id: int | None = None
    zone: str = DEFAULT_ZONE
    is_demo: bool = False


@dataclass(frozen=True, slots=True)
class BatchStanding:
    """A batch and the sums of its codes."""

    batch: VoucherBatch
    uses: int
    spent: Money
    # Codes that can still be used, their caps and dates apart.
    open_codes: int


def issue(wanted: NewBatch, *, actor_id: int | None, now: datetime) -> VoucherBatch:
    """Make a batch and its codes; raises Invalid by field: no value, no limit nobody asked to do without, and more."""
    _check(wanted)
    terms = wanted.terms
    with transaction():
        batch = add(
            VoucherBatch(
                name=wanted.name.strip(),
                size=wanted.size,
                value_kind=terms.value_kind.value,
                currency=terms.currency,
                amount_minor=terms.amount,
                percent=terms.percent,
                use_cap=terms.use_cap,
                money_cap_minor=terms.money_cap,
                person_cap=terms.person_cap,
                uncapped_words="" if terms.is_capped else wanted.uncapped_words.strip(),
                starts_on=terms.starts_on,
                ends_on=terms.ends_on,
                zone=wanted.zone,
                sponsor_id=wanted.sponsor_id,
                seat_pool_id=wanted.seat_pool_id,
                is_demo=wanted.is_demo,
                created_at=now,
                created_by_id=actor_id,
                **_bounds(terms),
            )
        )
        rows = [_code_row(batch, number, wanted.word) for number in range(1, wanted.size + 1)]
        db.session.execute(insert(Voucher), rows)
        record(batch, "issued", actor_id=actor_id, now=now)
        return batch


def _bounds(terms: Terms) -> dict[str, list[int] | list[str]]:
    numbers = {name: sorted(getattr(terms, name)) for name in ("run_ids", "course_ids", "provider_ids", "person_ids")}
    return numbers | {"email_domains": sorted(terms.email_domains)}


def _check(wanted: NewBatch) -> None:
    wrong: dict[str, str | LazyString] = dict(voucher_rules.check(wanted.terms, uncapped_words=wanted.uncapped_words))
    if not wanted.name.strip():
        wrong["name"] = lazy("Enter a name by which you will know these codes.")
    if not 1 <= wanted.size <= MOST_CODES:
        wrong["size"] = lazy("Enter a number from 1 to %(most)s.", most=MOST_CODES)
    if wanted.word:
        letters = len(voucher_rules.normal_code(wanted.word))
        if wanted.size != 1:
            wrong["word"] = lazy("A word of your own is one code. Leave it empty to have several drawn.")
        elif not SHORTEST_WORD <= letters <= LONGEST_WORD:
            wrong["word"] = lazy(
                "Use %(fewest)s to %(most)s letters and digits.", fewest=SHORTEST_WORD, most=LONGEST_WORD
            )
    if wrong:
        raise Invalid("voucher_not_valid", lazy("Please check what you entered"), wrong)


def _code_row(batch: VoucherBatch, number: int, word: str) -> dict[str, object]:
    code = voucher_rules.normal_code(word) if word else drawn_code(batch, number)
    return {
        "batch_id": batch.id,
        "number": number,
        "code_hash": keys.digest(code),
        "code_tail": code[-voucher_rules.GROUP :],
        "word": word.strip() or None,
        "use_cap": batch.use_cap,
        "money_cap_minor": batch.money_cap_minor,
        "uses": 0,
        "spent_minor": 0,
    }


def drawn_code(batch: VoucherBatch, number: int) -> str:
    """The code of this number as the server's key draws it: the same each time, and no one's guess."""
    secret = current_app.config["SETTINGS"].secret_key.encode()
    message = f"voucher:{batch.public_id}:{number}".encode()
    return voucher_rules.code_from(hmac.new(secret, message, hashlib.sha256).digest())


def code_of(voucher: Voucher) -> str | None:
    """The code as people type it, or None when the server's key is another than the one it was drawn with."""
    if voucher.word:
        return voucher.word
    code = drawn_code(voucher.batch, voucher.number)
    return voucher_rules.shown_code(code) if keys.digest(code) == voucher.code_hash else None


def hand_out(batch: VoucherBatch, *, actor_id: int, now: datetime) -> Sequence[Voucher]:
    """All codes of a batch for a download, which is put on record."""
    with transaction():
        record(batch, "downloaded", actor_id=actor_id, now=now)
        query = select(Voucher).where(Voucher.batch_id == batch.id).options(joinedload(Voucher.batch))
        return db.session.scalars(query.order_by(Voucher.number)).all()


def end_batch(batch_id: int, *, reason: str, actor_id: int, now: datetime) -> int:
    """End every code of a batch that is not ended; what they paid stays paid. Locks the codes; returns how many."""
    with transaction():
        batch = locked(VoucherBatch, batch_id)
        why = _reason(reason)
        open_codes = select(Voucher.id).where(Voucher.batch_id == batch_id, Voucher.ended_at.is_(None))
        found = db.session.scalars(open_codes.order_by(Voucher.id).with_for_update(key_share=True)).all()
        if found:
            values = {"ended_at": now, "ended_by_id": actor_id, "end_reason": why}
            db.session.execute(update(Voucher).where(Voucher.id.in_(found)).values(values))
            record(batch, "ended", actor_id=actor_id, reason=why, now=now)
        return len(found)


def end_voucher(voucher_id: int, *, reason: str, actor_id: int, now: datetime) -> Voucher:
    """End one code; what it paid stays paid. Locks it; twice changes nothing. Raises Invalid without a reason."""
    with transaction():
        why = _reason(reason)
        voucher = locked(Voucher, voucher_id)
        if voucher.ended_at is None:
            voucher.ended_at, voucher.ended_by_id, voucher.end_reason = now, actor_id, why
            record(voucher.batch, "ended", voucher_id=voucher.id, actor_id=actor_id, reason=why, now=now)
        return voucher


def _reason(text: str) -> str:
    if not text.strip():
        sentence = lazy("Say why, for those who look at it later.")
        raise Invalid("reason_missing", sentence, {"reason": sentence})
    return text.strip()


def record(
    batch: VoucherBatch,
    kind: str,
    *,
    actor_id: int | None,
    now: datetime,
    voucher_id: int | None = None,
    reason: str = "",
) -> VoucherEvent:
    """Write what staff did with a batch or one of its codes."""
    return add(
        VoucherEvent(
            batch_id=batch.id, voucher_id=voucher_id, kind=kind, actor_id=actor_id, reason=reason, occurred_at=now
        )
    )


def list_batches(*, before: int | None = None, limit: int = PAGE) -> list[BatchStanding]:
    """The newest batches first with the sums of their codes, those before id `before`; two queries."""
    query = select(VoucherBatch).options(joinedload(VoucherBatch.sponsor)).order_by(VoucherBatch.id.desc())
    if before is not None:
        query = query.where(VoucherBatch.id < before)
    return _with_sums(db.session.scalars(query.limit(limit)).all())


def standing_of(batch: VoucherBatch) -> BatchStanding:
    """A batch with the sums of its codes."""
    return _with_sums([batch])[0]


def _with_sums(batches: Iterable[VoucherBatch]) -> list[BatchStanding]:
    found = {batch.id: batch for batch in batches}
    query = (
        select(
            Voucher.batch_id,
            func.sum(Voucher.uses),
            func.sum(Voucher.spent_minor),
            func.count().filter(Voucher.ended_at.is_(None)),
        )
        .where(Voucher.batch_id.in_(found))
        .group_by(Voucher.batch_id)
    )
    sums = {row[0]: row for row in db.session.execute(query)}
    return [
        BatchStanding(
            batch, int(sums[batch.id][1]), Money(int(sums[batch.id][2]), batch.currency), int(sums[batch.id][3])
        )
        for batch in found.values()
    ]


def get_batch(public_id: str) -> VoucherBatch:
    """A batch; raises NotFound."""
    query = select(VoucherBatch).where(VoucherBatch.public_id == public_id)
    return _found(db.session.scalar(query.options(joinedload(VoucherBatch.sponsor))))


def get_voucher(public_id: str) -> Voucher:
    """A code with its batch; raises NotFound."""
    query = select(Voucher).where(Voucher.public_id == public_id).options(joinedload(Voucher.batch))
    found = db.session.scalar(query)
    if found is None:
        raise NotFound
    return found


def _found(batch: VoucherBatch | None) -> VoucherBatch:
    if batch is None:
        raise NotFound
    return batch


def list_vouchers(batch_id: int, *, after: int = 0, limit: int = 100) -> Sequence[Voucher]:
    """The codes of a batch by number, those after number `after`."""
    query = select(Voucher).where(Voucher.batch_id == batch_id, Voucher.number > after)
    return db.session.scalars(query.options(joinedload(Voucher.batch)).order_by(Voucher.number).limit(limit)).all()


def list_redemptions(
    *, voucher_id: int | None = None, batch_id: int | None = None, before: int | None = None, limit: int = PAGE
) -> Sequence[VoucherRedemption]:
    """What a code or all codes of a batch paid, the newest first, with buyers and movements."""
    query = select(VoucherRedemption).join(VoucherRedemption.voucher)
    if voucher_id is not None:
        query = query.where(Voucher.id == voucher_id)
    if batch_id is not None:
        query = query.where(Voucher.batch_id == batch_id)
    if before is not None:
        query = query.where(VoucherRedemption.id < before)
    query = query.options(joinedload(VoucherRedemption.person), joinedload(VoucherRedemption.voucher))
    return db.session.scalars(query.order_by(VoucherRedemption.id.desc()).limit(limit)).all()


def list_events(batch_id: int) -> Sequence[VoucherEvent]:
    """What staff did with a batch and its codes, in order."""
    query = select(VoucherEvent).where(VoucherEvent.batch_id == batch_id).options(joinedload(VoucherEvent.actor))
    return db.session.scalars(query.order_by(VoucherEvent.id)).all()
