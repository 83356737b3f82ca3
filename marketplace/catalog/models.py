"""Courses, their runs with seats, the sessions of a run, and what courses are sorted by."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.accounts.models import Organisation
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, Refused, constraint
from marketplace.foundation.i18n import DEFAULT_LANGUAGE, DEFAULT_ZONE, lazy
from marketplace.foundation.models import Picture
from marketplace.foundation.money import DEFAULT_CURRENCY, Money

# Where a course without dates or prices stands when sorted by them.
LAST = 2**62
CHANGED_SINCE_APPROVAL = "state = 'published' AND version > coalesce(approved_version, 1)"


class Level(StrEnum):
    """How much a course expects its learners to know."""

    INTRODUCTORY = "introductory"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"


class CourseState(StrEnum):
    """A draft is seen by its providers alone; a withdrawn course stays readable for those who took it."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class RunState(StrEnum):
    """A draft run may lack dates; a scheduled one has them all and can be sold."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"


class Mode(StrEnum):
    """Where a run takes place."""

    IN_PERSON = "in_person"
    ONLINE = "online"
    BLENDED = "blended"


class Category(Model):
    """A field of the cultural and creative industries that courses are shelved under."""

    __tablename__ = "category"
    __table_args__ = (UniqueConstraint("code"),)

    id: Mapped[PrimaryKey]
    code: Mapped[str] = mapped_column(Text)
    name_zh: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(Integer)


class Skill(Model):
    """A skill of a published framework (ESCO 1.2), by its own identifier."""

    __tablename__ = "skill"
    __table_args__ = (
        UniqueConstraint("framework", "uri"),
        *(
            Index(
                f"ix_skill_label_{language}",
                f"label_{language}",
                postgresql_using="gin",
                postgresql_ops={f"label_{language}": "gin_trgm_ops"},
            )
            for language in ("zh", "en")
        ),
    )

    id: Mapped[PrimaryKey]
    framework: Mapped[str] = mapped_column(Text)
    uri: Mapped[str] = mapped_column(Text)
    label_en: Mapped[str] = mapped_column(Text)
    label_zh: Mapped[str | None] = mapped_column(Text)
    description_en: Mapped[str] = mapped_column(Text, default="")


def last_whole_day(moment: datetime | None, zone: ZoneInfo) -> date | None:
    """The local day that ends at this moment; None for one within a day."""
    if moment is None:
        return None
    local = moment.astimezone(zone)
    return (local - timedelta(microseconds=1)).date() if local.time() == time() else None


class PairedTexts:
    """What has texts in both languages, of which one was written first."""

    if TYPE_CHECKING:  # SQLAlchemy takes an annotation for a column
        original_language: Any
        translation_state: Any

    def text_state(self, field: str, language: str) -> str:
        """Where a paired text stands: original, translated, machine, stale, or missing."""
        if not getattr(self, f"{field}_{language}"):
            return "missing"
        is_original = language == self.original_language or not getattr(self, f"{field}_{self.original_language}")
        return "original" if is_original else str(self.translation_state.get(field, "translated"))


class Course(PairedTexts, Model):
    """What is taught, in both languages, written first in `original_language`.

    `translation_state` says per field whether the other text is translated, made by a machine, or stale since the
    original changed (authoring_rules). `version` counts the saves of its editors; reviewers, `approved_version`.
    """

    __tablename__ = "course"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("source", "source_key"),
        Index("ix_course_search_version", "search_version"),
        Index("ix_course_category_id", "category_id"),
        Index("ix_course_in_review", "updated_at", postgresql_where=text("state = 'in_review'")),
        Index("ix_course_changed", "updated_at", postgresql_where=text(CHANGED_SINCE_APPROVAL)),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    title_zh: Mapped[str] = mapped_column(Text, default="")
    title_en: Mapped[str] = mapped_column(Text, default="")
    summary_zh: Mapped[str] = mapped_column(Text, default="")
    summary_en: Mapped[str] = mapped_column(Text, default="")
    description_zh: Mapped[str] = mapped_column(Text, default="")
    description_en: Mapped[str] = mapped_column(Text, default="")
    outcomes_zh: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    outcomes_en: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    syllabus_zh: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    syllabus_en: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    original_language: Mapped[str] = mapped_column(Text, default=DEFAULT_LANGUAGE, server_default=DEFAULT_LANGUAGE)
    translation_state: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    approved_version: Mapped[int | None] = mapped_column(Integer)
    category_id: Mapped[int | None] = mapped_column(ForeignKey("category.id"))
    picture_id: Mapped[int | None] = mapped_column(ForeignKey("picture.id"))
    level: Mapped[str] = mapped_column(Text, default=Level.INTRODUCTORY)
    state: Mapped[str] = mapped_column(Text, default=CourseState.DRAFT)
    # Where an imported course comes from: (source, source_key) is unique, so an import can be run again.
    source: Mapped[str | None] = mapped_column(Text)
    source_key: Mapped[str | None] = mapped_column(Text)
    source_url: Mapped[str | None] = mapped_column(Text)
    cover_seed: Mapped[int] = mapped_column(Integer, default=0)
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    updated_at: Mapped[datetime] = mapped_column(default=clock.now, onupdate=clock.now)
    published_at: Mapped[datetime | None]
    # The tokeniser that wrote the course's entry in the list (entry_models), or found that it needs none.
    search_version: Mapped[int] = mapped_column(Integer, default=0, deferred=True)

    category: Mapped[Category | None] = relationship()
    # One query for a whole list, and none where no course of it has a picture.
    picture: Mapped[Picture | None] = relationship(lazy="selectin")
    providers: Mapped[list[CourseProvider]] = relationship(
        back_populates="course", order_by="CourseProvider.position", cascade="all, delete-orphan"
    )
    runs: Mapped[list[CourseRun]] = relationship(back_populates="course", order_by="CourseRun.starts_at")
    skills: Mapped[list[CourseSkill]] = relationship(back_populates="course", cascade="all, delete-orphan")

    @property
    def organisation_ids(self) -> list[int]:
        """The organisations that provide the course, the leading one first."""
        return [provider.organisation_id for provider in self.providers]

    @property
    def lead_ids(self) -> list[int]:
        """The organisation that answers for the course."""
        return [provider.organisation_id for provider in self.providers if provider.role == "lead"]


class StaleCourse(Model):
    """A mark that a run of the course sold out or has seats again; a trigger of `course_run` leaves it.

    The job that writes facets anew takes it away. Without a key on the course: two orders never wait for one another.
    """

    __tablename__ = "stale_course"

    id: Mapped[PrimaryKey]
    course_id: Mapped[int]


class CourseProvider(Model):
    """An organisation provides a course, as the lead or together with it."""

    __tablename__ = "course_provider"
    __table_args__ = (Index("ix_course_provider_organisation_id", "organisation_id", "course_id"),)

    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    # "lead" or "co": together with the lead, with the duties they agreed upon.
    role: Mapped[str] = mapped_column(Text, default="lead")
    position: Mapped[int] = mapped_column(Integer, default=0)
    duties_zh: Mapped[str] = mapped_column(Text, default="", server_default="")
    duties_en: Mapped[str] = mapped_column(Text, default="", server_default="")

    course: Mapped[Course] = relationship(back_populates="providers")
    organisation: Mapped[Organisation] = relationship()


class CourseSkill(Model):
    """A course teaches a skill of a framework, or one in its provider's own words; proposed until somebody decides."""

    __tablename__ = "course_skill"
    __table_args__ = (
        UniqueConstraint("course_id", "skill_id"),
        Index("ix_course_skill_proposed", "id", postgresql_where=text("state = 'proposed'")),
    )

    id: Mapped[PrimaryKey]
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    skill_id: Mapped[int | None] = mapped_column(ForeignKey("skill.id"))
    free_text: Mapped[str | None] = mapped_column(Text)
    # The provider's own words that a reviewer mapped to the skill.
    mapped_from: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="proposed")
    proposed_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    proposed_at: Mapped[datetime | None]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]

    course: Mapped[Course] = relationship(back_populates="skills")
    skill: Mapped[Skill | None] = relationship()


class CourseRun(Model):
    """One time a course takes place: dates, price, seats and the rule of completion.

    `seats_taken` counts live holds and active enrolments, `seats_kept` the unused seats of pools (a trigger keeps it);
    the database refuses to let their sum leave 0…capacity.
    """

    __tablename__ = "course_run"
    __table_args__ = (
        UniqueConstraint("public_id"),
        UniqueConstraint("source", "source_key"),
        Index("ix_course_run_course_id", "course_id", "starts_at"),
        Index("ix_course_run_starts_at", "starts_at"),
        Index("ix_course_run_enrol_closes_at", "enrol_closes_at"),
        Index("ix_course_run_enrol_opens_at", "enrol_opens_at"),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    state: Mapped[str] = mapped_column(Text, default=RunState.DRAFT)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    zone: Mapped[str] = mapped_column(Text, default=DEFAULT_ZONE)
    enrol_opens_at: Mapped[datetime | None]
    enrol_closes_at: Mapped[datetime | None]
    mode: Mapped[str] = mapped_column(Text, default=Mode.IN_PERSON)
    place_zh: Mapped[str] = mapped_column(Text, default="")
    place_en: Mapped[str] = mapped_column(Text, default="")
    language: Mapped[str] = mapped_column(Text, default="zh")
    capacity: Mapped[int] = mapped_column(Integer)
    seats_taken: Mapped[int] = mapped_column(Integer, default=0)
    seats_kept: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    price_minor: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str] = mapped_column(Text, default=DEFAULT_CURRENCY)
    is_subsidised: Mapped[bool] = mapped_column(default=False)
    # Whether a price rule is in force: a run without any costs no query to price. Written by catalog.pricing alone.
    has_price_rules: Mapped[bool] = mapped_column(default=False)
    completion_attendance_percent: Mapped[int | None] = mapped_column(Integer, default=80)
    completion_needs_pass: Mapped[bool] = mapped_column(default=False)
    completion_rule_version: Mapped[int] = mapped_column(Integer, default=1)
    # Counts the saves of its planners, so that two of them never overwrite each other unknowingly.
    version: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    source: Mapped[str | None] = mapped_column(Text)
    source_key: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    course: Mapped[Course] = relationship(back_populates="runs")
    sessions: Mapped[list[Session]] = relationship(
        back_populates="run", order_by="Session.starts_at", cascade="all, delete-orphan"
    )

    @property
    def is_completable(self) -> bool:
        """Whether it says what completes it: a run that asks for nothing is completed by nobody."""
        return self.completion_attendance_percent is not None or self.completion_needs_pass

    @property
    def price(self) -> Money:
        """What one seat costs before any subsidy."""
        return Money(self.price_minor, self.currency)

    @property
    def is_free(self) -> bool:
        """Whether a seat costs nothing."""
        return self.price_minor == 0

    @property
    def tzinfo(self) -> ZoneInfo:
        """The zone its times are told in."""
        return ZoneInfo(self.zone)

    @property
    def last_enrolment_day(self) -> date | None:
        """The local day whose end is the deadline of enrolment; None when the deadline lies within a day."""
        return last_whole_day(self.enrol_closes_at, self.tzinfo)

    def seats_left(self, expired_holds: int = 0) -> int:
        """Public seats one can take now; expired holds count as free though they are not swept yet."""
        return max(0, self.capacity - self.seats_taken - self.seats_kept + expired_holds)


class Session(Model):
    """One meeting of a run, for which attendance is taken."""

    __tablename__ = "run_session"
    __table_args__ = (UniqueConstraint("public_id"), UniqueConstraint("run_id", "position"))

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    position: Mapped[int] = mapped_column(Integer)
    title_zh: Mapped[str] = mapped_column(Text, default="")
    title_en: Mapped[str] = mapped_column(Text, default="")
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    place_zh: Mapped[str] = mapped_column(Text, default="")
    place_en: Mapped[str] = mapped_column(Text, default="")

    run: Mapped[CourseRun] = relationship(back_populates="sessions")


constraint("ck_course_run_seats_within_capacity", lazy("This run is full."), Refused)
constraint(
    "ck_course_run_dates_in_order", lazy("A run ends after it starts, and enrolment closes after it opens."), Invalid
)
constraint("ck_course_run_scheduled_is_dated", lazy("A scheduled run needs all of its dates."), Invalid)
constraint("ck_run_session_ends_after_start", lazy("A session ends after it starts."), Invalid)
constraint("ck_course_published_has_title", lazy("A published course needs a title in Chinese or English."), Invalid)
