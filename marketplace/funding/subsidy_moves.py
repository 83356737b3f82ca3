"""A subsidy goes along when its place moves to another run: as much of it as its rule pays there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.foundation.database import db, transaction
from marketplace.funding import subsidies, subsidy_rules
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_rules import Left, Verdict
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Select

    from marketplace.foundation.money import Money
    from marketplace.funding.facts import Offer

# What is still a promise. What was earned, claimed or paid was so in the run it was for.
PROMISED = (State.APPLIED, State.RESERVED)
# The conditions of `subsidy_rules.decide` that another run may not meet.
ABOUT_THE_RUN = frozenset({"run_dates", "skill", "category", "provider", "provider_kind", "mode", "completion"})


def list_of(order_line_ids: Sequence[int], *, is_locked: bool = False) -> list[Subsidy]:
    """The subsidies of these lines with programme and rule; `is_locked` locks the programmes, in the order of lines."""
    query = select(Subsidy).where(Subsidy.order_line_id.in_(order_line_ids)).order_by(Subsidy.order_line_id)
    query = query.options(joinedload(Subsidy.programme), joinedload(Subsidy.rule_version))
    found = list(db.session.scalars(query))
    return [subsidies.locked_subsidy(one.id)[0] for one in found] if is_locked else found


def would_pay(subsidy: Subsidy, offer: Offer, price: Money) -> int:
    """What a programme pays of a seat in another run at `price`, in minor units: never more than it promised.

    0 where its promise is over, or the rule does not pay for that run; what the person has had besides is not asked
    again.
    """
    if subsidy.state not in PROMISED or price.currency != subsidy.currency or not _covers(subsidy, offer):
        return 0
    return min(subsidy.amount_minor, subsidy_rules.granted_minor(subsidy.rule_version.rule, price.minor, Left(0)))


def follow(order_line_id: int, offer: Offer, *, now: datetime) -> bool:
    """Let the promise for a line hold for a seat in another run, if its programme pays for that run too.

    The deadline follows the run to a later day, never to an earlier one. Whether it goes along; a line without a
    subsidy has none that could. Locks the programme.
    """
    subsidy_id = db.session.scalar(select(Subsidy.id).filter_by(order_line_id=order_line_id))
    if subsidy_id is None:
        return False
    with transaction():
        subsidy, programme = subsidies.locked_subsidy(subsidy_id)
        if subsidy.state not in PROMISED or not _covers(subsidy, offer):
            return False
        today = subsidy_rules.day_of(now, programme.zone)
        until = subsidy_rules.earn_by(subsidy.rule_version.rule, offer, day=today, zone=programme.zone)
        if until > max(subsidy.earn_by, now):
            last = subsidy_rules.last_day_before(until, programme.zone)
            subsidies.extend(subsidy.id, last, reason="place moved", actor_id=None, now=now)
        return True


def _covers(subsidy: Subsidy, offer: Offer) -> bool:
    """Whether the rule it was promised by pays for a seat in this run at all, whoever takes it."""
    frame, price = subsidy.programme.frame, subsidy.amount
    rule = subsidy.rule_version.rule
    asked = subsidy_rules.decide(rule, frame, None, offer, price, left=Left(0), day=frame.applications_from)
    return all(reason.verdict is Verdict.MET for reason in asked.reasons if reason.code in ABOUT_THE_RUN)


def promised_for(order_lines: Select[int]) -> tuple[int, int]:
    """How many of these lines a programme has promised to pay a part of, and how much in all, in minor units."""
    query = select(func.count(), func.coalesce(func.sum(Subsidy.amount_minor), 0)).where(
        Subsidy.order_line_id.in_(order_lines), Subsidy.state.in_(PROMISED)
    )
    count, minor = db.session.execute(query).one()
    return count, int(minor)
