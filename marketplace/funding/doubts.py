"""Where a subsidy is put in doubt: what it was earned by was corrected since, and does not meet its conditions now.

It stays what it is until an officer rejects it, claws it back or claims it all the same; the evidence by which it was
earned is kept, and so is what is known since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.foundation.database import db, transaction
from marketplace.funding import subsidies
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_states import RESTS_ON_EVIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

MOST = 500


def list_resting(order_line_ids: Iterable[int]) -> list[Subsidy]:
    """The subsidies of these lines that were earned and are not over, with their rules."""
    query = select(Subsidy).where(Subsidy.order_line_id.in_(list(order_line_ids)), Subsidy.state.in_(RESTS_ON_EVIDENCE))
    return list(db.session.scalars(query.options(joinedload(Subsidy.rule_version)).order_by(Subsidy.id)))


def weigh_again(subsidy_id: int, evidence: dict[str, Any], *, is_met: bool, now: datetime) -> bool:
    """Note that the conditions of an earned subsidy are not met any more, or are again; whether that is new.

    Locks the programme; one that moved on meanwhile stays as it is.
    """
    with transaction():
        subsidy, _programme = subsidies.locked_subsidy(subsidy_id)
        if subsidy.state not in RESTS_ON_EVIDENCE or is_met is (subsidy.doubted_at is None):
            return False
        subsidy.doubted_at = None if is_met else now
        act = "restored" if is_met else "doubted"
        subsidies.note(subsidy, act, part=0, actor_id=None, now=now, evidence=evidence)
        return True


def list_doubted(programme_id: int) -> list[Subsidy]:
    """What a programme pays, or is to pay, for what does not meet its conditions by now; oldest first."""
    query = select(Subsidy).where(
        Subsidy.programme_id == programme_id,
        Subsidy.doubted_at.is_not(None),
        Subsidy.state.in_(RESTS_ON_EVIDENCE),
    )
    return list(db.session.scalars(query.options(joinedload(Subsidy.person)).order_by(Subsidy.id).limit(MOST)))
