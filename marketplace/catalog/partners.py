"""Courses taught together: the lead asks another provider, which is named on the course once it has accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select
from sqlalchemy.orm import joinedload

from marketplace.accounts.models import PROVIDER_KINDS, Organisation
from marketplace.catalog import search, trail
from marketplace.catalog.authoring_models import ProviderInvitation
from marketplace.catalog.models import Course, CourseProvider
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.accounts.models import Person

MOST_FOUND = 20


def find_providers(words: str, *, course: Course) -> Sequence[Organisation]:
    """Universities and industry partners whose name contains the words, without those that provide the course."""
    escaped = words.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    if not escaped:
        return []
    query = select(Organisation).where(
        Organisation.kind.in_(PROVIDER_KINDS),
        Organisation.id.not_in(course.organisation_ids),
        or_(Organisation.name_zh.ilike(f"%{escaped}%"), Organisation.name_en.ilike(f"%{escaped}%")),
    )
    return db.session.scalars(query.order_by(Organisation.name_en, Organisation.id).limit(MOST_FOUND)).all()


def invite(
    course_id: int, organisation_id: str, duties: dict[str, str], *, actor: Person, now: datetime
) -> ProviderInvitation:
    """Ask a provider (by public id) to teach the course together. Locks the course; raises Invalid or Refused."""
    with transaction():
        course = locked(Course, course_id)
        query = select(Organisation).where(
            Organisation.public_id == organisation_id, Organisation.kind.in_(PROVIDER_KINDS)
        )
        organisation = db.session.scalar(query)
        if organisation is None:
            raise Invalid("no_such_provider", lazy("Choose a university or an industry partner from the list."))
        if organisation.id in course.organisation_ids:
            raise Refused("provides_already", lazy("This organisation provides the course already."))
        made = add(
            ProviderInvitation(
                course=course,
                organisation=organisation,
                duties_zh=duties["duties_zh"],
                duties_en=duties["duties_en"],
                invited_by_id=actor.id,
                invited_at=now,
                answered_at=None,
            )
        )
        trail.record(
            "partner_invited", course_id=course.id, actor_id=actor.id, now=now, organisation=_names(organisation)
        )
        return made


def answer(invitation_id: int, *, accepts: bool, actor: Person, now: datetime) -> None:
    """Accept or decline for the organisation that was asked. Locks the course, then the invitation; once."""
    with transaction():
        invitation = _locked(invitation_id)
        _answer(invitation, "accepted" if accepts else "declined", actor=actor, now=now)
        if not accepts:
            return
        course = invitation.course
        course.providers.append(
            CourseProvider(
                organisation_id=invitation.organisation_id,
                organisation=invitation.organisation,
                role="co",
                position=len(course.providers),
                duties_zh=invitation.duties_zh,
                duties_en=invitation.duties_en,
            )
        )
        db.session.flush()
        search.index_course(course, now=now)


def withdraw_invitation(invitation_id: int, *, actor: Person, now: datetime) -> None:
    """Take the question back while it is open."""
    with transaction():
        _answer(_locked(invitation_id), "withdrawn", actor=actor, now=now)


def leave(course_id: int, organisation_id: int, *, actor: Person, now: datetime) -> None:
    """Name an organisation on the course no longer. Locks the course; the lead stays, as somebody has to answer."""
    with transaction():
        course = locked(Course, course_id)
        found = [provider for provider in course.providers if provider.organisation_id == organisation_id]
        if not found:
            raise NotFound
        if found[0].role == "lead":
            raise Refused("lead_stays", lazy("The organisation that leads a course cannot leave it."))
        course.providers.remove(found[0])
        names = _names(found[0].organisation)
        trail.record("partner_left", course_id=course.id, actor_id=actor.id, now=now, organisation=names)
        db.session.flush()
        search.index_course(course, now=now)


def get_invitation(public_id: str) -> ProviderInvitation:
    """One question with its course; raises NotFound."""
    query = select(ProviderInvitation).where(ProviderInvitation.public_id == public_id)
    found = db.session.scalar(query.options(joinedload(ProviderInvitation.course)))
    if found is None:
        raise NotFound
    return found


def list_asked_by(course_id: int) -> Sequence[ProviderInvitation]:
    """The open questions of a course."""
    query = select(ProviderInvitation).where(
        ProviderInvitation.course_id == course_id, ProviderInvitation.answered_at.is_(None)
    )
    return db.session.scalars(
        query.options(joinedload(ProviderInvitation.organisation)).order_by(ProviderInvitation.id)
    ).all()


def list_asked_of(organisation_id: int) -> Sequence[ProviderInvitation]:
    """The open questions an organisation has to answer, with what they are about."""
    query = select(ProviderInvitation).where(
        ProviderInvitation.organisation_id == organisation_id, ProviderInvitation.answered_at.is_(None)
    )
    course = joinedload(ProviderInvitation.course)
    providers = course.selectinload(Course.providers).joinedload(CourseProvider.organisation)
    return db.session.scalars(query.options(providers).order_by(ProviderInvitation.id)).all()


def _locked(invitation_id: int) -> ProviderInvitation:
    course_id = db.session.scalar(select(ProviderInvitation.course_id).where(ProviderInvitation.id == invitation_id))
    if course_id is None:
        raise NotFound
    locked(Course, course_id)
    return locked(ProviderInvitation, invitation_id)


def _answer(invitation: ProviderInvitation, word: str, *, actor: Person, now: datetime) -> None:
    if invitation.answered_at is not None:
        raise Refused("answered_already", lazy("This question has been answered already."))
    invitation.answer, invitation.answered_at, invitation.answered_by_id = word, now, actor.id
    trail.record(
        f"partner_{word}",
        course_id=invitation.course_id,
        actor_id=actor.id,
        now=now,
        organisation=_names(invitation.organisation),
    )
    db.session.flush()


def _names(organisation: Organisation) -> dict[str, str]:
    return {"name_zh": organisation.name_zh, "name_en": organisation.name_en}
