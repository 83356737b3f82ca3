"""People, the organisations they act for, and the traces that keep an account safe."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from flask_security import UserMixin
from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, Refused, constraint
from marketplace.foundation.i18n import DEFAULT_ZONE, lazy
from marketplace.foundation.models import Picture

if TYPE_CHECKING:
    from collections.abc import Iterable


class Role(StrEnum):
    """What a member of the programme's staff is appointed to do."""

    REVIEWER = "reviewer"
    FUNDING_OFFICER = "funding_officer"
    FINANCE_OFFICER = "finance_officer"
    ANALYST = "analyst"
    ADMINISTRATOR = "administrator"


class MemberRole(StrEnum):
    """What a member does for an organisation; an owner may do everything there, a learner is sent and does nothing."""

    OWNER = "owner"
    EDITOR = "editor"
    REGISTRAR = "registrar"
    INSTRUCTOR = "instructor"
    FINANCE = "finance"
    LEARNER = "learner"


class OrganisationKind(StrEnum):
    """Universities and industry partners provide courses; employers send people to them."""

    UNIVERSITY = "university"
    INDUSTRY_PARTNER = "industry_partner"
    EMPLOYER = "employer"


PROVIDER_KINDS = frozenset({OrganisationKind.UNIVERSITY, OrganisationKind.INDUSTRY_PARTNER})


class Person(UserMixin, Model):
    """Someone with an account. The id survives a change of e-mail; `fs_uniquifier` changes when all sign-ins end."""

    __tablename__ = "person"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("email"),
        UniqueConstraint("fs_uniquifier"),
        # desk_search._people in payments: a part of a name or address.
        Index("ix_person_bigrams", text("bigrams((lower(name) || ' '::text) || email)"), postgresql_using="gin"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    # Normalised and in lower case: one mailbox is one person.
    email: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(Text, default="zh")
    time_zone: Mapped[str] = mapped_column(Text, default=DEFAULT_ZONE)
    confirmed_at: Mapped[datetime | None]
    # An argon2id hash; None cannot sign in until a reset.
    password: Mapped[str | None] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(Text, default=ids.public_id)
    region: Mapped[str | None] = mapped_column(Text)
    district: Mapped[str | None] = mapped_column(Text)
    industry_code: Mapped[str | None] = mapped_column(Text)
    occupation: Mapped[str | None] = mapped_column(Text)
    employer: Mapped[str | None] = mapped_column(Text)
    employer_size: Mapped[str | None] = mapped_column(Text)
    experience_band: Mapped[str | None] = mapped_column(Text)
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    # Forgotten since: name and addresses are gone, the facts stay.
    erased_at: Mapped[datetime | None]

    appointments: Mapped[list[StaffAppointment]] = relationship(
        back_populates="person", foreign_keys="StaffAppointment.person_id"
    )
    memberships: Mapped[list[Membership]] = relationship(back_populates="person")

    # Flask-Security's own roles are not used: it would load them with every request.
    roles = []  # noqa: RUF012 - read, never written

    @property
    def staff_roles(self) -> frozenset[str]:
        """The staff roles this person is appointed to, by name."""
        return frozenset(appointment.role for appointment in self.appointments)

    def has_role(self, role: str) -> bool:  # type: ignore[override]
        """Whether the person is appointed to a staff role; an administrator stands in for every one."""
        return bool(self.staff_roles & {role, Role.ADMINISTRATOR})

    @property
    def is_staff(self) -> bool:
        """Whether the person has any staff role."""
        return bool(self.staff_roles)

    def roles_in(self, organisation_ids: Iterable[int]) -> frozenset[str]:
        """The person's roles in any of these organisations; an owner has them all."""
        wanted = set(organisation_ids)
        held = {membership.role for membership in self.memberships if membership.organisation_id in wanted}
        return frozenset(MemberRole) if MemberRole.OWNER in held else frozenset(held)


class StaffAppointment(Model):
    """A person holds a staff role since a time, by whose hand."""

    __tablename__ = "staff_appointment"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    appointed_at: Mapped[datetime] = mapped_column(default=clock.now)
    appointed_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    person: Mapped[Person] = relationship(back_populates="appointments", foreign_keys=[person_id])


class Organisation(Model):
    """A university or industry partner that provides courses, or an employer that sends people."""

    __tablename__ = "organisation"
    __table_args__ = (UniqueConstraint("public_id"),)

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    kind: Mapped[str] = mapped_column(Text)
    name_zh: Mapped[str] = mapped_column(Text, default="")
    name_en: Mapped[str] = mapped_column(Text, default="")
    summary_zh: Mapped[str] = mapped_column(Text, default="")
    summary_en: Mapped[str] = mapped_column(Text, default="")
    # ISO 3166-1 alpha-2.
    country: Mapped[str] = mapped_column(Text, default="CN")
    city_zh: Mapped[str] = mapped_column(Text, default="")
    city_en: Mapped[str] = mapped_column(Text, default="")
    website: Mapped[str | None] = mapped_column(Text)
    logo_id: Mapped[int | None] = mapped_column(ForeignKey("picture.id"))
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    memberships: Mapped[list[Membership]] = relationship(back_populates="organisation")
    logo: Mapped[Picture | None] = relationship()

    @property
    def is_provider(self) -> bool:
        """Whether it may provide courses."""
        return self.kind in PROVIDER_KINDS


class Membership(Model):
    """A person acts for an organisation in one role; someone with two roles has two rows."""

    __tablename__ = "membership"
    __table_args__ = (
        UniqueConstraint("person_id", "organisation_id", "role"),
        Index("ix_membership_organisation_id", "organisation_id"),
    )

    id: Mapped[PrimaryKey]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    person: Mapped[Person] = relationship(back_populates="memberships")
    organisation: Mapped[Organisation] = relationship(back_populates="memberships", lazy="selectin")


class Invitation(Model):
    """An open offer of a role in an organisation to whoever reads the mail; only the key's hash is kept."""

    __tablename__ = "invitation"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("key_hash"),
        Index(
            "uq_invitation_open",
            "organisation_id",
            "email",
            "role",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND withdrawn_at IS NULL"),
        ),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    email: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[str] = mapped_column(Text)
    invited_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]

    organisation: Mapped[Organisation] = relationship()
    invited_by: Mapped[Person] = relationship()


class SignIn(Model):
    """One browser signed in as a person, until it is ended or grows old. The cookie holds the key, the row its hash."""

    __tablename__ = "sign_in"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("key_hash"),
        Index("ix_sign_in_open", "person_id", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    key_hash: Mapped[str] = mapped_column(Text)
    user_agent: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    is_remembered: Mapped[bool]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    person: Mapped[Person] = relationship()


class MailedLink(Model):
    """A link sent by mail that proves its reader owns the mailbox: usable once, until it expires; the key is hashed."""

    __tablename__ = "mailed_link"
    __table_args__ = (UniqueConstraint("key_hash"), Index("ix_mailed_link_person_id", "person_id"))

    id: Mapped[PrimaryKey]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    purpose: Mapped[str] = mapped_column(Text)
    key_hash: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ThrottleHit(Model):
    """Attempts counted under one key in its present window; written by throttle.PostgresStorage. UNLOGGED."""

    __tablename__ = "throttle_hit"
    __table_args__ = (Index("ix_throttle_hit_expires_at", "expires_at"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[datetime]


class AccountEvent(Model):
    """What happened to an account or a membership, by whom; the database refuses to change or delete a row."""

    __tablename__ = "account_event"
    __table_args__ = (Index("ix_account_event_person_id_occurred_at", "person_id", "occurred_at"),)

    id: Mapped[PrimaryKey]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    kind: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    occurred_at: Mapped[datetime] = mapped_column(default=clock.now)


class Consent(Model):
    """A person agreed to a version of a text by an act; nothing changes afterwards but `withdrawn_at`, once."""

    __tablename__ = "consent"
    __table_args__ = (
        Index("ix_consent_person_id", "person_id"),
        Index(
            "uq_consent_open_sharing",
            "organisation_id",
            "person_id",
            unique=True,
            postgresql_where=text("document = 'sharing' AND withdrawn_at IS NULL"),
        ),
    )

    id: Mapped[PrimaryKey]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    document: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(Integer)
    # The language it was read in.
    language: Mapped[str] = mapped_column(Text)
    act: Mapped[str] = mapped_column(Text)
    # What the act was about: an order's number.
    reference: Mapped[str] = mapped_column(Text, default="")
    # With whom it lets us share.
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    given_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]

    organisation: Mapped[Organisation | None] = relationship()


class SecondFactor(Model):
    """What a person's authenticator app knows too, sealed; it is asked for once `confirmed_at` is set."""

    __tablename__ = "second_factor"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    secret: Mapped[str] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None]
    # The step of the last code that was taken: no code works twice.
    last_step: Mapped[int]


class RecoveryCode(Model):
    """A code that stands in for the app once; only its hash is kept."""

    __tablename__ = "recovery_code"
    __table_args__ = (UniqueConstraint("person_id", "code_hash"),)

    id: Mapped[PrimaryKey]
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    code_hash: Mapped[str] = mapped_column(Text)
    used_at: Mapped[datetime | None]


class MailOptOut(Model):
    """A person does not want one kind of mail, since when."""

    __tablename__ = "mail_opt_out"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    since: Mapped[datetime]


constraint("uq_person_email", lazy("This e-mail address cannot be used."), Refused)
constraint("ck_person_email_is_normal", lazy("Enter an e-mail address, like name@example.com."), Invalid)
constraint("uq_consent_open_sharing", lazy("This organisation may see your participation already."))
constraint(
    "uq_membership_person_id_organisation_id_role", lazy("This person already has this role in the organisation.")
)
constraint(
    "uq_invitation_open", lazy("This address has already been invited to this role. You can withdraw the invitation.")
)
