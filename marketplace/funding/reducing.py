"""Where a part of a subsidy goes back because a part of the price does, while the place stays.

What is promised or earned is lowered. What was claimed or paid by then is lowered too, and the part is returned to the
funder: with its payment of the claim if it pays less, else by a transfer of ours (`clawing_back.send_back`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.funding import subsidies
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_states import COMMITTED, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# What the funder was asked for or paid already is returned to it.
ASKED = (State.CLAIMED, State.PAID)


def payable(order_line_ids: Iterable[int]) -> dict[int, int]:
    """What a programme promises or pays of each of these lines, in minor units; lines of which none does are not here.

    What lapsed, was rejected or taken back is not: the learner owes it, or somebody bears it (`payments.debts`).
    """
    query = select(Subsidy.order_line_id, Subsidy.amount_minor).where(
        Subsidy.order_line_id.in_(list(order_line_ids)), Subsidy.state.in_(COMMITTED)
    )
    return {line_id: int(minor) for line_id, minor in db.session.execute(query)}


def reduce(order_line_id: int, by: int, *, reason: str, actor_id: int | None, now: datetime) -> Subsidy:
    """Take a part off a subsidy, in minor units: the budget gets it back. All of it: the subsidy is let go.

    Call inside the transaction that gives back the learner's part, with its order locked. Locks the programme. Raises
    Refused for more than it is, or for one that nobody pays any more.
    """
    subsidy_id = db.session.scalars(select(Subsidy.id).filter_by(order_line_id=order_line_id)).one()
    with transaction():
        subsidy, programme = subsidies.locked_subsidy(subsidy_id)
        if subsidy.state not in COMMITTED or not 0 < by <= subsidy.amount_minor:
            raise Refused("subsidy_changed", lazy("The subsidy of this order has changed. Please look at it again."))
        if by == subsidy.amount_minor:
            subsidies.step(subsidy, programme, "release", actor_id=actor_id, now=now, evidence={"reason": reason})
            return subsidy
        subsidy.amount_minor -= by
        subsidy.committed_minor -= by
        programme.committed_minor -= by
        if subsidy.state in ASKED:
            subsidy.to_return_minor += by
        subsidies.note(subsidy, "reduce", part=by, actor_id=actor_id, now=now, evidence={"reason": reason})
        return subsidy
