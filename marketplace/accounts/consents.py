"""What a person agreed to: which version, when, by which act, and when they withdrew it.

A row is added by the act itself, in its transaction. Nothing is changed afterwards but `withdrawn_at`, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import exists, select

from marketplace.accounts.agreements import NEWEST, PRIVACY, SHARING, TERMS
from marketplace.accounts.models import Consent, Membership, Organisation, OrganisationKind, Person
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement


def give(
    person_id: int,
    document: str,
    *,
    act: str,
    language: str,
    now: datetime,
    reference: str = "",
    organisation_id: int | None = None,
) -> Consent:
    """Record that a person agreed to the newest version of a document; call inside the transaction of the act.

    `act`: registration, purchase (reference: the order's number; written with the order by `enrolment.placing` and
    `enrolment.till`), account_page, subsidy. `language`: it was read in.
    """
    return add(
        Consent(
            person_id=person_id,
            document=document,
            version=NEWEST[document],
            language=language,
            act=act,
            reference=reference,
            organisation_id=organisation_id,
            given_at=now,
            withdrawn_at=None,
        )
    )


def register(person_id: int, *, language: str, now: datetime) -> None:
    """What registering says yes to: the terms and the privacy notice."""
    for document in (TERMS, PRIVACY):
        give(person_id, document, act="registration", language=language, now=now)


def share(person: Person, organisation: Organisation, *, language: str, now: datetime) -> None:
    """Let an employer see that the person takes part; twice is once. NotFound for one they are not a member of."""
    with transaction():
        if organisation not in list_employers(person):
            raise NotFound
        if not is_shared(person.id, organisation.id):
            of = organisation.id
            give(person.id, SHARING, act="account_page", language=language, now=now, organisation_id=of)


def withdraw(person: Person, consent_id: int, *, now: datetime) -> Consent:
    """Take back a consent to share; NotFound for another's. Terms end with the account alone."""
    with transaction():
        query = select(Consent.id).where(
            Consent.id == consent_id, Consent.person_id == person.id, Consent.document == SHARING
        )
        if db.session.scalar(query) is None:
            raise NotFound
        consent = locked(Consent, consent_id)
        consent.withdrawn_at = consent.withdrawn_at or now
        return consent


def withdraw_from(person_id: int, organisation_id: int, *, now: datetime) -> None:
    """End what is shared with an organisation, when the person leaves it; call inside the transaction."""
    query = select(Consent).where(_is_open(organisation_id), Consent.person_id == person_id)
    for consent in db.session.scalars(query.with_for_update(key_share=True)):
        consent.withdrawn_at = now


def list_all(person_id: int) -> Sequence[Consent]:
    """Everything a person agreed to, newest first."""
    return db.session.scalars(select(Consent).filter_by(person_id=person_id).order_by(Consent.id.desc())).all()


def list_employers(person: Person) -> list[Organisation]:
    """The employers the person is a member of, whom they may let see."""
    query = (
        select(Organisation)
        .where(
            Organisation.kind == OrganisationKind.EMPLOYER,
            Organisation.id.in_(select(Membership.organisation_id).filter_by(person_id=person.id)),
        )
        .order_by(Organisation.id)
    )
    return list(db.session.scalars(query))


def is_shared(person_id: int, organisation_id: int) -> bool:
    """Whether the organisation may see the person's participation now."""
    return bool(db.session.scalar(select(exists().where(Consent.person_id == person_id, _is_open(organisation_id)))))


def sharing_people(organisation_id: int) -> set[int]:
    """The ids of everyone who lets the organisation see their participation now."""
    return set(db.session.scalars(select(Consent.person_id).where(_is_open(organisation_id))))


def _is_open(organisation_id: int) -> ColumnElement[bool]:
    return (Consent.document == SHARING) & (Consent.organisation_id == organisation_id) & Consent.withdrawn_at.is_(None)
