"""Seats that are kept: pools for an audience, places in a waiting list; and wishes for runs that do not exist yet."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from marketplace.accounts.models import Organisation, Person
from marketplace.catalog.models import Course, CourseRun
from marketplace.enrolment.models import SeatHold
from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey
from marketplace.foundation.errors import Invalid, constraint
from marketplace.foundation.i18n import lazy


class PoolKind(StrEnum):
    """Why seats are kept: somebody pays for them, a co-provider teaches its own, or a campaign promised them."""

    SPONSOR = "sponsor"
    CO_PROVIDER = "co_provider"
    CAMPAIGN = "campaign"


class Audience(StrEnum):
    """Who may take a seat of a pool; everyone else takes public ones."""

    ORGANISATION = "organisation"
    EMAIL_DOMAIN = "email_domain"
    CODE = "code"
    # Whoever pays with a code of the voucher batch that names the pool.
    VOUCHER = "voucher"


class SeatPool(Model):
    """`size` seats of a run kept for an audience until `release_at`; then the unused ones are public.

    A trigger keeps `course_run.seats_kept` = Σ (size - taken) of the pools that are not released, and the run's CHECK
    refuses more kept and taken seats than the capacity. Only `taken` is counted on after the release.
    """

    __tablename__ = "seat_pool"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("ix_seat_pool_run_id", "run_id"),
        Index("ix_seat_pool_release_at", "release_at", postgresql_where=text("released_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    kind: Mapped[str] = mapped_column(Text)
    audience: Mapped[str] = mapped_column(Text)
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisation.id"))
    email_domain: Mapped[str | None] = mapped_column(Text)
    # Of the code as ids.normalised reads it: the link holds the code, the table does not.
    code_hash: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int] = mapped_column(Integer)
    taken: Mapped[int] = mapped_column(Integer, default=0)
    release_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    run: Mapped[CourseRun] = relationship()
    organisation: Mapped[Organisation | None] = relationship()

    @property
    def unused(self) -> int:
        """Seats that are still kept."""
        return 0 if self.released_at else self.size - self.taken


class WaitingState(StrEnum):
    """Where a place in a waiting list stands; `WAITING_TRANSITIONS` says what may follow what."""

    WAITING = "waiting"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    LEFT = "left"
    LAPSED = "lapsed"


# Accepted without an offer: the person took a seat of a pool. Lapsed: enrolment closed or the run was cancelled.
WAITING_TRANSITIONS: dict[WaitingState, frozenset[WaitingState]] = {
    WaitingState.WAITING: frozenset(
        {WaitingState.OFFERED, WaitingState.ACCEPTED, WaitingState.LEFT, WaitingState.LAPSED}
    ),
    WaitingState.OFFERED: frozenset(
        {WaitingState.ACCEPTED, WaitingState.DECLINED, WaitingState.EXPIRED, WaitingState.LAPSED}
    ),
    WaitingState.ACCEPTED: frozenset(),
    WaitingState.DECLINED: frozenset(),
    WaitingState.EXPIRED: frozenset(),
    WaitingState.LEFT: frozenset(),
    WaitingState.LAPSED: frozenset(),
}


class First(StrEnum):
    """Who is offered a seat before others who joined earlier."""

    TIME = "time"
    POOL_AUDIENCE = "pool_audience"


class WaitingEntry(Model):
    """A person's place in the waiting list of a run; an offer is a hold of their own, `hold_id`."""

    __tablename__ = "waiting_entry"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_waiting_entry_live",
            "run_id",
            "person_id",
            unique=True,
            postgresql_where=text("state IN ('waiting', 'offered')"),
        ),
        Index(
            "ix_waiting_entry_queue", "run_id", "rank", "joined_at", "id", postgresql_where=text("state = 'waiting'")
        ),
        Index("ix_waiting_entry_person_id", "person_id"),
        Index("ix_waiting_entry_hold_id", "hold_id", postgresql_where=text("state = 'offered'")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    state: Mapped[str] = mapped_column(Text, default=WaitingState.WAITING)
    # 0 before 1, by the run's WaitingRule; within a rank whoever joined first.
    rank: Mapped[int] = mapped_column(Integer, default=1)
    # Of the code the person came with: it may open a pool to them.
    code_hash: Mapped[str | None] = mapped_column(Text)
    joined_at: Mapped[datetime]
    offered_at: Mapped[datetime | None]
    hold_id: Mapped[int | None] = mapped_column(ForeignKey("seat_hold.id"))
    ended_at: Mapped[datetime | None]

    run: Mapped[CourseRun] = relationship()
    person: Mapped[Person] = relationship()
    hold: Mapped[SeatHold | None] = relationship()

    @validates("state")
    def _follow_the_table(self, _name: str, state: str) -> str:
        if self.state and state not in WAITING_TRANSITIONS[WaitingState(self.state)]:
            message = f"a waiting-list entry does not go from {self.state} to {state}"
            raise ValueError(message)
        return state


class WaitingRule(Model):
    """How the waiting list of a run is ordered and how long its offers stand; a run without one has the defaults."""

    __tablename__ = "waiting_rule"

    run_id: Mapped[int] = mapped_column(ForeignKey("course_run.id"), primary_key=True)
    first: Mapped[str] = mapped_column(Text, default=First.TIME)
    offer_hours: Mapped[int] = mapped_column(Integer)


class Wish(Model):
    """Somebody wants to hear when a course has a run to book: told once, removable, counted as demand."""

    __tablename__ = "wish"
    __table_args__ = (
        Index(
            "uq_wish_open",
            "course_id",
            "person_id",
            unique=True,
            postgresql_where=text("told_at IS NULL AND removed_at IS NULL"),
        ),
        Index("ix_wish_person_id", "person_id"),
    )

    id: Mapped[PrimaryKey]
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    wished_at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]

    course: Mapped[Course] = relationship()
    person: Mapped[Person] = relationship()


class SearchWish(Model):
    """Somebody found nothing and wants to hear of a course with these words and facets: told once, counted as demand.

    Words are trimmed and facets sorted, so that the same question is one wish. `looked_at` is the database's clock:
    courses indexed before it do not answer. `course_id` is what answered.
    """

    __tablename__ = "search_wish"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index(
            "uq_search_wish_open",
            "person_id",
            "words",
            "facets",
            unique=True,
            postgresql_where=text("told_at IS NULL AND removed_at IS NULL"),
        ),
        Index(
            "ix_search_wish_looked_at",
            "looked_at",
            "id",
            postgresql_where=text("told_at IS NULL AND removed_at IS NULL"),
        ),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    words: Mapped[str] = mapped_column(Text, default="")
    facets: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    wished_at: Mapped[datetime]
    looked_at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    course_id: Mapped[int | None] = mapped_column(ForeignKey("course.id"))

    person: Mapped[Person] = relationship()
    course: Mapped[Course | None] = relationship()


class SubsidisedPass(Model):
    """The last time runs were marked as subsidised: its one row says by which programmes, and when it began."""

    __tablename__ = "subsidised_pass"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    programmes: Mapped[str] = mapped_column(Text)
    began_at: Mapped[datetime]


constraint(
    "ck_seat_pool_taken_within_size", lazy("More seats of this pool are taken than that; make it larger."), Invalid
)
