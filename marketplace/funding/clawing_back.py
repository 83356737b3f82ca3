"""Where money that a funder paid goes back to it: taken back though the place stays, and sent at the bank.

What is owed back stands on the funder's account in the books until it is sent. The programme is locked before its
subsidies, as everywhere in this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import joinedload

from marketplace.foundation import bank_days
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy
from marketplace.funding import reviewers, subsidies, subsidy_letters
from marketplace.funding.subsidy_models import Subsidy, SubsidyEvent
from marketplace.funding.subsidy_states import OWED_BACK, State

if TYPE_CHECKING:
    from datetime import date, datetime

    from flask_babel import LazyString

MOST = 500


@dataclass(frozen=True)
class Sending:
    """A transfer to the funder as the bank shows it."""

    sent_on: date
    bank_reference: str
    reason: str
    # In minor units, as the page showed what is owed back; None is all of it.
    amount: int | None = None


def claw_back(subsidy_id: int, *, reason: str, actor_id: int, now: datetime) -> Subsidy:
    """Note that the funder wants back what it paid for a place that stays, and write to the person.

    As when a claim is rejected, the rule says what the learner owes; the marketplace bears the rest, since the budget
    gets the amount back. Raises Invalid without a reason, Refused for what was not paid and for the person's own.
    Locks the programme.
    """
    if not reason.strip():
        raise _wrong("no_reason", lazy("Say why: the person reads it."), "reason")
    with transaction():
        subsidy, programme = subsidies.locked_subsidy(subsidy_id)
        reviewers.check(subsidy, actor_id)
        evidence = {"reason": reason.strip()}
        subsidies.step(subsidy, programme, "claw_back", actor_id=actor_id, now=now, evidence=evidence)
        subsidy_letters.send_ended(subsidy, reason=reason.strip())
        return subsidy


def send_back(subsidy_id: int, sending: Sending, *, actor_id: int, now: datetime) -> Subsidy:
    """Note that what is owed back to the funder was sent, by the bank's day and reference; the books take that day.

    All that is owed back of it goes at once: the whole, or what came off it after the funder had paid (the subsidy
    itself stays paid then). Where more came off since the page was made, what it showed was sent, and the rest is still
    owed. Raises Invalid without a reference or a reason, for a day to come and for one before the
    money was owed back; Refused where nothing or less is owed back, and for the person's own. Locks the programme.
    """
    reference, reason = sending.bank_reference.strip(), sending.reason.strip()
    if not reference:
        raise _wrong("no_reference", lazy("Say by which reference the bank shows the money."), "bank_reference")
    if not reason:
        raise _wrong("no_reason", lazy("Say why."), "reason")
    bank_days.check_past(sending.sent_on, "sent_on", now=now)
    with transaction():
        subsidy, programme = subsidies.locked_subsidy(subsidy_id)
        reviewers.check(subsidy, actor_id)
        owed_since = _owed_since(subsidy_id)
        if owed_since and sending.sent_on < bank_days.day_of(owed_since):
            raise _wrong("before_owed", lazy("On that day it was not owed back yet."), "sent_on")
        sent_at = bank_days.moment_on(sending.sent_on, since=owed_since or now, now=now)
        evidence = {"bank_reference": reference, "reason": reason, "sent_on": sending.sent_on.isoformat()}
        all_of_it, part = subsidy.owed_back.minor, subsidy.to_return_minor
        amount = all_of_it if sending.amount is None else sending.amount
        if amount != all_of_it and not 0 < amount <= part:
            raise Refused("owed_back_changed", lazy("Another amount is owed back by now. Please look at it again."))
        if amount == all_of_it and (not all_of_it or subsidy.state in OWED_BACK):
            event = subsidies.step(subsidy, programme, "send_back", actor_id=actor_id, now=sent_at, evidence=evidence)
            event.part_minor, subsidy.to_return_minor = part, 0
        else:
            subsidies.note(subsidy, "return_part", part=amount, actor_id=actor_id, now=sent_at, evidence=evidence)
            subsidy.to_return_minor -= amount
        db.session.flush()
        return subsidy


def _owed_since(subsidy_id: int) -> datetime | None:
    """When something of it was first owed back: before that nothing was sent; None where nothing ever was."""
    mine = SubsidyEvent.subsidy_id == subsidy_id
    owing = or_(
        SubsidyEvent.to_state.in_(OWED_BACK),
        # What came off while a claim waited is owed from the funder's payment on.
        and_(SubsidyEvent.to_state == State.PAID, SubsidyEvent.part_minor > 0),
    )
    return db.session.scalar(select(func.min(SubsidyEvent.occurred_at)).where(mine, owing))


def list_owed_back(programme_id: int) -> list[Subsidy]:
    """What a programme's funder paid and is owed back, with the people, oldest first."""
    part = and_(Subsidy.to_return_minor > 0, Subsidy.state != State.CLAIMED)
    query = select(Subsidy).where(Subsidy.programme_id == programme_id, or_(Subsidy.state.in_(OWED_BACK), part))
    return list(db.session.scalars(query.options(joinedload(Subsidy.person)).order_by(Subsidy.id).limit(MOST)))


def _wrong(code: str, sentence: LazyString, field: str) -> Invalid:
    return Invalid(code, sentence, {field: sentence})
