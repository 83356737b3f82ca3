"""What this room knows of a person, told to them. Subsidies are public money: how they were decided stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.foundation.database import db
from marketplace.foundation.i18n import lazy, pick
from marketplace.foundation.personal_data import Identity, Section, plain_money
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt, SubsidyConsent
from marketplace.funding.voucher_models import Voucher, VoucherRedemption

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.foundation.errors import Refused


def tell(person_id: int) -> list[Section]:
    """Subsidies, what was decided from, what was agreed to, and vouchers used."""
    return [_subsidies(person_id), _attempts(person_id), _consents(person_id), _redemptions(person_id)]


def _subsidies(person_id: int) -> Section:
    columns = {"order": lazy("Order"), "amount": lazy("Amount"), "state": lazy("State"), "applied_at": lazy("Asked")}
    rows = [
        {
            "order": subsidy.order_number,
            "amount": plain_money(subsidy.amount),
            "state": subsidy.state,
            "applied_at": subsidy.applied_at,
        }
        for subsidy in db.session.scalars(select(Subsidy).filter_by(person_id=person_id).order_by(Subsidy.id))
    ]
    return Section("subsidies", lazy("Subsidies"), columns, rows)


def _attempts(person_id: int) -> Section:
    columns = {
        "attempted_at": lazy("Asked"),
        "programme": lazy("Funding programme"),
        "outcome": lazy("Outcome"),
        "decided_from": lazy("Decided from"),
    }
    query = select(SubsidyAttempt).filter_by(person_id=person_id).options(joinedload(SubsidyAttempt.programme))
    rows = [
        {
            "attempted_at": attempt.attempted_at,
            "programme": str(pick(attempt.programme, "name")),
            "outcome": attempt.refusal or attempt.outcome,
            "decided_from": ", ".join(f"{key}={value}" for key, value in attempt.buyer.items() if value),
        }
        for attempt in db.session.scalars(query.order_by(SubsidyAttempt.id))
    ]
    return Section("subsidy_attempts", lazy("Subsidies asked for"), columns, rows)


def _consents(person_id: int) -> Section:
    columns = {"given_at": lazy("Agreed"), "programme": lazy("Funding programme"), "text": lazy("Text")}
    query = (
        select(SubsidyConsent, FundingProgramme)
        .join(FundingProgramme, FundingProgramme.id == SubsidyConsent.programme_id)
        .where(SubsidyConsent.person_id == person_id)
        .order_by(SubsidyConsent.id)
    )
    rows = [
        {"given_at": consent.given_at, "programme": str(pick(programme, "name")), "text": consent.text}
        for consent, programme in db.session.execute(query)
    ]
    return Section("subsidy_consents", lazy("What you agreed to for a subsidy"), columns, rows)


def _redemptions(person_id: int) -> Section:
    columns = {"redeemed_at": lazy("Time"), "voucher": lazy("Voucher"), "amount": lazy("Amount")}
    query = (
        select(VoucherRedemption)
        .filter_by(person_id=person_id)
        .options(joinedload(VoucherRedemption.voucher).joinedload(Voucher.batch))
    )
    rows = [
        {"redeemed_at": used.redeemed_at, "voucher": used.voucher.label, "amount": plain_money(used.amount)}
        for used in db.session.scalars(query.order_by(VoucherRedemption.id))
    ]
    return Section("vouchers", lazy("Vouchers used"), columns, rows)


def find_obstacle(person_id: int) -> Refused | None:  # noqa: ARG001 - every room has the same signature
    """Nothing here waits for the person."""
    return None


def forget(identity: Identity, *, now: datetime) -> None:
    """Nothing: subsidies, the codes they were decided from and their evidence stay, by number, for audits."""
