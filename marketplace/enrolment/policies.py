"""Where terms of cancellation are kept: the newest of the run, else of its leading provider, else of the house."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, or_, select

from marketplace.accounts.models import Organisation
from marketplace.catalog.models import CourseProvider, CourseRun
from marketplace.enrolment.change_models import RefundPolicy
from marketplace.enrolment.refund_rules import Terms, Tier, checked_tiers
from marketplace.foundation.database import add, db, locked, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

HOUSE = 1


def terms_of(version: int) -> Terms:
    """The terms a line was sold under."""
    return _terms(db.session.get_one(RefundPolicy, version))


def terms_for_sale(run: CourseRun) -> Terms:
    """The terms that hold for a seat sold now; its version is frozen on the order's line. One statement."""
    leading = select(CourseProvider.organisation_id).where(CourseProvider.course_id == run.course_id)
    leading = leading.order_by(CourseProvider.position, CourseProvider.organisation_id).limit(1)
    of_house = and_(RefundPolicy.run_id.is_(None), RefundPolicy.organisation_id.is_(None))
    of_provider = RefundPolicy.organisation_id == leading.scalar_subquery()
    rank = case((RefundPolicy.run_id == run.id, 0), (of_provider, 1), else_=2)
    query = select(RefundPolicy).where(or_(RefundPolicy.run_id == run.id, of_provider, of_house))
    return _terms(db.session.scalars(query.order_by(rank, RefundPolicy.id.desc()).limit(1)).one())


def _terms(row: RefundPolicy) -> Terms:
    return Terms(row.id, tuple(Tier(**tier) for tier in row.tiers), row.withdrawal_days, row.deferral_days)


def set_for_run(run_id: int, tiers: Sequence[Tier], *, deferral_days: int, actor_id: int, now: datetime) -> Terms:
    """New terms of one run, for what is sold from now on; the right to withdraw stays the seller's. Locks the run."""
    ordered = checked_tiers(tiers)
    with transaction():
        run = locked(CourseRun, run_id)
        row = RefundPolicy(run_id=run.id, withdrawal_days=terms_for_sale(run).withdrawal_days)
        return _write(row, ordered, deferral_days=deferral_days, actor_id=actor_id, now=now)


def set_for_provider(
    organisation_id: int,
    tiers: Sequence[Tier],
    *,
    withdrawal_days: int,
    deferral_days: int,
    actor_id: int,
    now: datetime,
) -> Terms:
    """New terms of a provider's runs that have none of their own, for what is sold from now on."""
    ordered = checked_tiers(tiers)
    with transaction():
        locked(Organisation, organisation_id)
        row = RefundPolicy(organisation_id=organisation_id, withdrawal_days=withdrawal_days)
        return _write(row, ordered, deferral_days=deferral_days, actor_id=actor_id, now=now)


def _write(row: RefundPolicy, tiers: Sequence[Tier], *, deferral_days: int, actor_id: int, now: datetime) -> Terms:
    row.tiers = [asdict(tier) for tier in tiers]
    row.deferral_days, row.created_by_id, row.created_at = deferral_days, actor_id, now
    return _terms(add(row))
