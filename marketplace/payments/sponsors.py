"""Where the payments of sponsors for used vouchers are entered, seen by a second officer above the limit, and posted.

What a sponsor owes is its balance on voucher_receivable; one that paid more than that has paid ahead. Locks: payment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import Organisation
from marketplace.foundation import bank_days
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.funding.voucher_models import VoucherBatch
from marketplace.payments import acts, four_eyes, ledger, offline, offline_rules, posting_rules
from marketplace.payments.desk_models import OfflinePayment, OfflineState
from marketplace.payments.posting_rules import Account
from marketplace.payments.sponsor_models import SponsorPayment

if TYPE_CHECKING:
    from collections.abc import Sequence

# Payments of one sponsor within these days count as pieces of one.
PIECES_WITHIN = timedelta(days=30)
PAGE = 50


@dataclass(frozen=True)
class Paid:
    """What a sponsor paid, as the bank shows it."""

    organisation_id: int
    amount: Money
    bank_reference: str
    received_on: date


def enter(paid: Paid, *, reason: str, actor_id: int, now: datetime) -> SponsorPayment:
    """Enter what a sponsor paid: posted at once, or when a second officer has agreed.

    Raises Invalid for an amount of nothing, no reference or a day to come; NotFound for an organisation that sponsors
    no vouchers; Refused for a transfer that was entered or recorded before.
    """
    reference = offline_rules.normalised(paid.bank_reference)
    if paid.amount.minor <= 0:
        message = lazy("Enter an amount, like 1280.00.")
        raise Invalid("wrong_amount", message, {"amount": message})
    if not reference:
        message = lazy("Enter the reference by which the bank shows the transfer.")
        raise Invalid("no_reference", message, {"bank_reference": message})
    bank_days.check_past(paid.received_on, "received_on", now=now)
    with transaction():
        offline.check_known_once(reference, OfflinePayment)
        before = lock_paid_lately(paid.organisation_id, paid.amount.currency, now=now)
        row = add(
            SponsorPayment(
                organisation_id=paid.organisation_id,
                amount_minor=paid.amount.minor,
                currency=paid.amount.currency,
                bank_reference=reference,
                received_on=paid.received_on,
                reason=reason.strip(),
                proposed_by_id=actor_id,
                proposed_at=now,
            )
        )
        _record("sponsor_payment_entered", row, reason=reason, actor_id=actor_id, now=now)
        if not four_eyes.are_needed(paid.amount, before=before):
            _settle(row, now=now)
        return row


def lock_paid_lately(organisation_id: int, currency: str, *, now: datetime) -> Money:
    """What one officer alone has entered for a sponsor lately: pieces that come at once wait for each other.

    Locks the organisation; raises NotFound for one that sponsors no vouchers.
    """
    if organisation_id not in {one.id for one in list_sponsors()}:
        raise NotFound
    locked(Organisation, organisation_id)
    query = select(func.coalesce(func.sum(SponsorPayment.amount_minor), 0)).where(
        SponsorPayment.organisation_id == organisation_id,
        SponsorPayment.currency == currency,
        SponsorPayment.state == OfflineState.SETTLED,
        SponsorPayment.decided_by_id.is_(None),
        SponsorPayment.proposed_at > now - PIECES_WITHIN,
    )
    return Money(int(db.session.scalar(query) or 0), currency)


def approve(public_id: str, *, reason: str, actor_id: int, now: datetime) -> SponsorPayment:
    """Post a payment that another officer entered, once. Locks the payment."""
    with transaction():
        row = four_eyes.locked_proposed(SponsorPayment, public_id, actor_id=actor_id)
        row.decided_by_id, row.decided_at = actor_id, now
        _record("sponsor_payment_approved", row, reason=reason, actor_id=actor_id, now=now)
        _settle(row, now=now)
        return row


def decline(public_id: str, *, reason: str, actor_id: int, now: datetime) -> SponsorPayment:
    """Turn down a payment that another officer entered: nothing is posted. Locks the payment."""
    with transaction():
        row = four_eyes.locked_proposed(SponsorPayment, public_id, actor_id=actor_id)
        row.decided_by_id, row.decided_at, row.state = actor_id, now, OfflineState.DECLINED
        _record("sponsor_payment_declined", row, reason=reason, actor_id=actor_id, now=now)
        return row


def take_in(row: SponsorPayment, *, moment: datetime) -> None:
    """Book a payment that was recorded at the bank before anybody knew whose it was. Call inside that transaction.

    The row is new and both officers' words are in it; `moment` is when the money came.
    """
    row.state = OfflineState.SETTLED
    _post(add(row), into=Account.UNMATCHED_MONEY, moment=moment)


def _settle(row: SponsorPayment, *, now: datetime) -> None:
    row.state = OfflineState.SETTLED
    db.session.flush()
    # A sponsor may pay ahead, so there is nothing that its payment could not come before.
    _post(row, into=Account.BANK, moment=bank_days.moment_on(row.received_on, since=None, now=now))


def _post(row: SponsorPayment, *, into: Account, moment: datetime) -> None:
    entries = posting_rules.sponsor_paid(row.amount, sponsor_id=row.organisation_id, into=into)
    ledger.post(f"sponsor_payment:{row.public_id}", "sponsor_paid", entries, order_id=None, occurred_at=moment)


def _record(kind: str, row: SponsorPayment, *, reason: str, actor_id: int, now: datetime) -> None:
    details = {"amount": row.amount_minor, "currency": row.currency, "reference": row.bank_reference}
    details |= {"organisation": row.organisation_id, "day": row.received_on.isoformat()}
    subject = f"sponsor_payment:{row.public_id}"
    acts.record(kind, subject, reason=reason, actor_id=actor_id, now=now, details=details)


def list_sponsors() -> Sequence[Organisation]:
    """Every organisation that pays for a batch of vouchers, by id."""
    sponsoring = select(VoucherBatch.sponsor_id).where(VoucherBatch.sponsor_id.is_not(None))
    return db.session.scalars(
        select(Organisation).where(Organisation.id.in_(sponsoring)).order_by(Organisation.id)
    ).all()


def list_owed() -> list[tuple[Organisation, Money]]:
    """What each sponsor owes by now in each currency, largest first; negative for one that paid ahead."""
    found = ledger.balances_of("organisation_id", Account.VOUCHER_RECEIVABLE)
    query = select(Organisation).where(Organisation.id.in_([owner for owner, _ in found]))
    names = {one.id: one for one in db.session.scalars(query)}
    return [(names[owner], amount) for owner, amount in found]


def list_payments(*, before: int | None = None) -> tuple[Sequence[SponsorPayment], int | None]:
    """Payments of sponsors, newest first, a page before an id; the second value continues the list."""
    query = select(SponsorPayment).options(
        joinedload(SponsorPayment.organisation), joinedload(SponsorPayment.proposed_by)
    )
    if before is not None:
        query = query.where(SponsorPayment.id < before)
    rows = db.session.scalars(query.order_by(SponsorPayment.id.desc()).limit(PAGE + 1)).all()
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def list_waiting(*, after: int = 0, limit: int = 100) -> Sequence[SponsorPayment]:
    """Payments that wait for a second officer, oldest first, from the id `after` on."""
    query = select(SponsorPayment).filter_by(state=OfflineState.PROPOSED).where(SponsorPayment.id > after)
    query = query.options(joinedload(SponsorPayment.organisation), joinedload(SponsorPayment.proposed_by))
    return db.session.scalars(query.order_by(SponsorPayment.id).limit(limit)).all()
