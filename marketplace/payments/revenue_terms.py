"""Where it is set how a sale is shared: tax, the platform's fee, the rest for the provider; in versions, from a day on.

A version is never changed and never reaches back: an order keeps the terms that held when it was placed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import Organisation
from marketplace.foundation import bank_days
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy
from marketplace.payments import acts
from marketplace.payments.models import RevenueTerms
from marketplace.payments.posting_rules import WHOLE, Terms

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class NewTerms:
    """What is agreed: both shares in basis points, from the beginning of a day of Shanghai on; None for the default."""

    organisation_id: int | None
    platform_fee: int
    tax: int
    first_day: date


def set_terms(wanted: NewTerms, *, reason: str, actor_id: int, now: datetime) -> RevenueTerms:
    """Add a version, and keep the act. Locks the newest version, so that versions are numbered one after the other.

    Raises Invalid for a day that has begun, shares beyond the whole, and no reason.
    """
    valid_from = datetime.combine(wanted.first_day, time.min, tzinfo=bank_days.ZONE)
    if valid_from <= now:
        message = lazy("Choose a day to come: what was sold before keeps its terms.")
        raise Invalid("not_to_come", message, {"first_day": message})
    if not (0 <= wanted.platform_fee <= WHOLE and 0 <= wanted.tax <= WHOLE):
        message = lazy("Between 0 and 100 per cent.")
        raise Invalid("shares", message, {"platform_fee": message})
    with transaction():
        newest = locked(RevenueTerms, db.session.scalars(select(func.max(RevenueTerms.version))).one())
        row = add(
            RevenueTerms(
                version=newest.version + 1,
                organisation_id=wanted.organisation_id,
                valid_from=valid_from,
                platform_fee=wanted.platform_fee,
                tax=wanted.tax,
                recorded_at=now,
                recorded_by_id=actor_id,
            )
        )
        details = {"platform_fee": row.platform_fee, "tax": row.tax, "organisation": row.organisation_id}
        acts.record("terms_set", f"terms:{row.version}", reason=reason, actor_id=actor_id, now=now, details=details)
        return row


def terms_at(moment: datetime, organisation_id: int | None = None) -> Terms:
    """The terms in force at a moment for a provider: its own if it has any, else the default ones.

    Of several that have begun, the one that began last holds; of two of one day, the one that was set last.
    """
    of_provider = RevenueTerms.organisation_id == organisation_id
    query = select(RevenueTerms).where(
        RevenueTerms.valid_from <= moment, or_(of_provider, RevenueTerms.organisation_id.is_(None))
    )
    newest = (RevenueTerms.organisation_id.is_(None), RevenueTerms.valid_from.desc(), RevenueTerms.version.desc())
    found = db.session.scalars(query.order_by(*newest).limit(1)).one()
    return Terms(found.version, platform_fee=found.platform_fee, tax=found.tax)


def terms_of(version: int) -> Terms:
    """The terms of a version, such as an order's line was frozen with."""
    found = db.session.get_one(RevenueTerms, version)
    return Terms(found.version, platform_fee=found.platform_fee, tax=found.tax)


def list_default() -> Sequence[RevenueTerms]:
    """Every version of the default terms, newest first."""
    query = select(RevenueTerms).where(RevenueTerms.organisation_id.is_(None))
    return db.session.scalars(query.order_by(RevenueTerms.version.desc())).all()


def list_all() -> Sequence[RevenueTerms]:
    """Every version: the default ones first, then each provider's, the newest first."""
    query = select(RevenueTerms).outerjoin(RevenueTerms.organisation)
    query = query.options(joinedload(RevenueTerms.organisation), joinedload(RevenueTerms.recorded_by))
    order = (RevenueTerms.organisation_id.is_not(None), Organisation.name_zh, RevenueTerms.version.desc())
    return db.session.scalars(query.order_by(*order)).all()


def list_standing(*, now: datetime) -> list[tuple[RevenueTerms, str]]:
    """The same, each with whether it is to come, in force (the one of its provider that `terms_at` takes) or over."""
    rows = list_all()
    begun = sorted((row for row in rows if row.valid_from <= now), key=lambda row: (row.valid_from, row.version))
    in_force = {row.organisation_id: row.version for row in begun}
    return [(row, _standing(row, in_force.get(row.organisation_id), now=now)) for row in rows]


def _standing(row: RevenueTerms, in_force: int | None, *, now: datetime) -> str:
    if row.valid_from > now:
        return "to_come"
    return "in_force" if row.version == in_force else "over"


def tomorrow(now: datetime) -> date:
    """The first day from which new terms can hold."""
    return bank_days.day_of(now) + timedelta(days=1)
