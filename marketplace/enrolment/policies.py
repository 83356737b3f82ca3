"""Where terms of cancellation are kept: the newest of the run, else of its leading provider, else of the house."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, or_, select, update
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import Organisation
from marketplace.catalog.models import CourseProvider, CourseRun
from marketplace.enrolment.change_models import RefundPolicy
from marketplace.enrolment.refund_rules import Terms, Tier, checked_tiers
from marketplace.foundation.database import add, db, locked, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.sql.elements import ColumnElement

HOUSE = 1
_OF_HOUSE = and_(RefundPolicy.run_id.is_(None), RefundPolicy.organisation_id.is_(None))


def terms_of(version: int) -> Terms:
    """The terms a line was sold under."""
    return as_terms(db.session.get_one(RefundPolicy, version))


def terms_for_sale(run: CourseRun) -> Terms:
    """The terms that hold for a seat sold now; its version is frozen on the order's line. One statement."""
    return as_terms(in_force_for_run(run))


def in_force_for_run(run: CourseRun) -> RefundPolicy:
    """The version a seat of the run is sold under now: its own, its leading provider's or the house's."""
    leading = select(CourseProvider.organisation_id).where(CourseProvider.course_id == run.course_id)
    leading = leading.order_by(CourseProvider.position, CourseProvider.organisation_id).limit(1)
    of_provider = RefundPolicy.organisation_id == leading.scalar_subquery()
    return _newest((RefundPolicy.run_id == run.id, 0), (of_provider, 1))


def in_force_for_provider(organisation_id: int) -> RefundPolicy:
    """The version that holds for the runs of a provider which have none of their own: the provider's or the house's."""
    return _newest((RefundPolicy.organisation_id == organisation_id, 0))


def _newest(*levels: tuple[ColumnElement[bool], int]) -> RefundPolicy:
    """The newest version in force of the first level that has one; the house always has."""
    rank = case(*levels, else_=len(levels))
    wanted = or_(_OF_HOUSE, *(level for level, _ in levels))
    query = select(RefundPolicy).where(wanted, RefundPolicy.ended_at.is_(None))
    return db.session.scalars(query.order_by(rank, RefundPolicy.id.desc()).limit(1)).one()


def list_versions(*, run_id: int | None = None, organisation_id: int | None = None) -> Sequence[RefundPolicy]:
    """Every version of a run's own terms, or of a provider's, newest first, with who set and who ended it."""
    query = select(RefundPolicy).filter_by(run_id=run_id, organisation_id=organisation_id)
    query = query.options(joinedload(RefundPolicy.created_by), joinedload(RefundPolicy.ended_by))
    return db.session.scalars(query.order_by(RefundPolicy.id.desc())).all()


def as_terms(row: RefundPolicy) -> Terms:
    """A version as the rules read it."""
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


def end_for_run(run_id: int, *, actor_id: int, now: datetime) -> None:
    """Let the provider's terms hold for the run again, for what is sold from now on. Locks the run."""
    with transaction():
        locked(CourseRun, run_id)
        _end(RefundPolicy.run_id == run_id, actor_id=actor_id, now=now)


def end_for_provider(organisation_id: int, *, actor_id: int, now: datetime) -> None:
    """Let the house's terms hold for the provider's runs again, for what is sold from now on."""
    with transaction():
        locked(Organisation, organisation_id)
        _end(RefundPolicy.organisation_id == organisation_id, actor_id=actor_id, now=now)


def _write(row: RefundPolicy, tiers: Sequence[Tier], *, deferral_days: int, actor_id: int, now: datetime) -> Terms:
    row.tiers = [asdict(tier) for tier in tiers]
    row.deferral_days, row.created_by_id, row.created_at = deferral_days, actor_id, now
    return as_terms(add(row))


def _end(of_level: ColumnElement[bool], *, actor_id: int, now: datetime) -> None:
    ended = update(RefundPolicy).where(of_level, RefundPolicy.ended_at.is_(None))
    db.session.execute(ended.values(ended_at=now, ended_by_id=actor_id))
