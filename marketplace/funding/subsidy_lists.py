"""What there is of subsidies: one, a page of a programme's, a person's own, and where a budget stands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload, selectinload, undefer

from marketplace.accounts.models import Person
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt, SubsidyEvent, SubsidyFile
from marketplace.funding.subsidy_states import COMMITTED, State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PAGE = 25
LARGEST_FILE_BYTES = 5 * 1024 * 1024
ESCAPE = "\\"


@dataclass(frozen=True)
class Waterfall:
    """Where the deposits of a programme are, each fen in one place: the parts add up to what was deposited."""

    deposited: Money
    left: Money
    applied: Money
    reserved: Money
    earned: Money
    claimed: Money
    paid: Money
    borne: Money
    # Beside the sum: what was promised once and came back, and what learners owe.
    returned: Money
    owed: Money
    lines: Mapping[str, int]
    borne_lines: int


def waterfall(programme: FundingProgramme) -> Waterfall:
    """Add up a programme's subsidies by state, with its counters in one statement: a sale in between changes both."""
    query = (
        select(
            FundingProgramme.deposited_minor,
            FundingProgramme.committed_minor,
            Subsidy.state,
            func.count(Subsidy.id),
            func.sum(Subsidy.committed_minor),
            func.sum(Subsidy.owed_minor),
            func.sum(SubsidyAttempt.amount_minor),
            func.count().filter(Subsidy.committed_minor > 0),
        )
        .select_from(FundingProgramme)
        .outerjoin(Subsidy, Subsidy.programme_id == FundingProgramme.id)
        .outerjoin(Subsidy.attempt)
        .where(FundingProgramme.id == programme.id)
        .group_by(FundingProgramme.id, Subsidy.state)
    )
    found = db.session.execute(query).all()
    deposited, committed = found[0][:2]
    rows = {
        state: (count, int(held), int(owed), int(promised), still)
        for _deposited, _committed, state, count, held, owed, promised, still in found
        if count
    }

    def of(minor: int) -> Money:
        return Money(minor, programme.currency)

    held = {state: of(rows[state][1] if state in rows else 0) for state in State}
    ended = [row for state, row in rows.items() if state not in COMMITTED]
    return Waterfall(
        deposited=of(deposited),
        left=of(deposited - committed),
        applied=held[State.APPLIED],
        reserved=held[State.RESERVED],
        earned=held[State.EARNED],
        claimed=held[State.CLAIMED],
        paid=held[State.PAID],
        borne=of(sum(row[1] for row in ended)),
        # Also what came off a subsidy that goes on.
        returned=of(sum(row[3] - row[1] for row in rows.values())),
        owed=of(sum(row[2] for row in ended)),
        lines={state: row[0] for state, row in rows.items()},
        borne_lines=sum(row[4] for row in ended),
    )


@dataclass(frozen=True)
class Filter:
    """What a list of applications is narrowed by: a state, words of a name or address, and where it begins."""

    state: str = ""
    words: str = ""
    before: int | None = None


def list_page(programme_id: int, wish: Filter) -> tuple[list[Subsidy], int | None]:
    """A page of a programme's subsidies, newest first, and the id the next page begins before (None: the last one)."""
    query = (
        select(Subsidy)
        .join(Subsidy.person)
        .where(Subsidy.programme_id == programme_id)
        .options(joinedload(Subsidy.person), joinedload(Subsidy.rule_version))
    )
    if wish.state:
        query = query.where(Subsidy.state == wish.state)
    if wish.words:
        pattern = f"%{_escaped(wish.words)}%"
        query = query.where(
            or_(
                Person.name.ilike(pattern, escape=ESCAPE),
                Person.email.ilike(pattern, escape=ESCAPE),
                Subsidy.order_number == wish.words,
                Subsidy.public_id == wish.words,
            )
        )
    if wish.before is not None:
        query = query.where(Subsidy.id < wish.before)
    found = list(db.session.scalars(query.order_by(Subsidy.id.desc()).limit(PAGE + 1)))
    return found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None


def list_refusals(programme_id: int, *, before: int | None = None) -> tuple[list[SubsidyAttempt], int | None]:
    """A page of the attempts that a programme refused, newest first, and where the next page begins."""
    query = select(SubsidyAttempt).where(
        SubsidyAttempt.programme_id == programme_id, SubsidyAttempt.outcome == "refused"
    )  # fmt: skip
    if before is not None:
        query = query.where(SubsidyAttempt.id < before)
    query = query.options(joinedload(SubsidyAttempt.person), joinedload(SubsidyAttempt.rule))
    found = list(db.session.scalars(query.order_by(SubsidyAttempt.id.desc()).limit(PAGE + 1)))
    return found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None


def get(public_id: str) -> Subsidy:
    """A subsidy with everything its page shows; raises NotFound."""
    query = (
        select(Subsidy)
        .filter_by(public_id=public_id)
        .options(
            joinedload(Subsidy.programme),
            joinedload(Subsidy.rule_version),
            joinedload(Subsidy.person),
            joinedload(Subsidy.attempt),
            joinedload(Subsidy.consent),
            joinedload(Subsidy.batch),
            selectinload(Subsidy.events).joinedload(SubsidyEvent.actor),
            selectinload(Subsidy.files),
        )
    )
    subsidy = db.session.scalars(query).one_or_none()
    if subsidy is None:
        raise NotFound
    return subsidy


def find_of_line(order_line_id: int) -> Subsidy | None:
    """The subsidy of an order line with its programme, rule and steps, if it has one."""
    query = (
        select(Subsidy)
        .filter_by(order_line_id=order_line_id)
        .options(joinedload(Subsidy.programme), joinedload(Subsidy.rule_version), selectinload(Subsidy.events))
    )
    return db.session.scalars(query).one_or_none()


def list_of_person(person_id: int, *, limit: int = 100) -> list[Subsidy]:
    """A person's own subsidies, newest first."""
    query = select(Subsidy).filter_by(person_id=person_id)
    query = query.options(joinedload(Subsidy.programme), joinedload(Subsidy.rule_version))
    return list(db.session.scalars(query.order_by(Subsidy.id.desc()).limit(limit)))


def add_file(subsidy_id: int, *, file_name: str, content: bytes, actor_id: int, now: datetime) -> SubsidyFile:
    """Keep a document beside a subsidy as it came. Raises Invalid for an empty or too large one."""
    if not content or len(content) > LARGEST_FILE_BYTES:
        sentence = lazy("Choose a file of at most 5 MB.")
        raise Invalid("file_size", sentence, {"file": sentence})
    with transaction():
        return add(
            SubsidyFile(
                subsidy_id=subsidy_id,
                file_name=file_name[:200] or "file",
                sha256=hashlib.sha256(content).hexdigest(),
                content=content,
                added_at=now,
                added_by_id=actor_id,
            )
        )


def get_file(public_id: str) -> SubsidyFile:
    """A document with its content; raises NotFound."""
    query = select(SubsidyFile).filter_by(public_id=public_id).options(undefer(SubsidyFile.content))
    found = db.session.scalars(query).one_or_none()
    if found is None:
        raise NotFound
    return found


def _escaped(words: str) -> str:
    """Words for LIKE, taken as they are written."""
    return "".join(ESCAPE + letter if letter in {ESCAPE, "%", "_"} else letter for letter in words)
