"""Where the price rules of runs are kept, and read for a price. The decision itself is pricing_rules.decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from marketplace.catalog import pricing_rules
from marketplace.catalog.models import CourseRun
from marketplace.catalog.price_models import PriceRule
from marketplace.catalog.pricing_rules import Price, PriceFacts, Rule, RuleKind
from marketplace.foundation.database import add, db, locked, read_rows, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from marketplace.foundation.money import Money

MOST_RULES = 20


class Priced(Protocol):
    """What a price is decided from: a run, or what a card shows of one."""

    @property
    def id(self) -> int: ...  # noqa: D102 - as of CourseRun
    @property
    def price(self) -> Money: ...  # noqa: D102
    @property
    def is_free(self) -> bool: ...  # noqa: D102
    @property
    def has_price_rules(self) -> bool: ...  # noqa: D102
    @property
    def tzinfo(self) -> ZoneInfo: ...  # noqa: D102
    @property
    def seats_taken(self) -> int: ...  # noqa: D102


# Columns after the first as `Rule` has them; past the ORM, since every list of courses asks it.
_IN_FORCE = """
SELECT rule.run_id, rule.id, rule.kind, rule.currency, rule.price_minor, rule.percent_off, rule.starts_on, rule.ends_on,
       rule.first_seats, rule.colleagues_from, rule.organisation_id, coalesce(organisation.name_zh, '') AS name_zh,
       coalesce(organisation.name_en, '') AS name_en
  FROM price_rule AS rule LEFT JOIN organisation ON organisation.id = rule.organisation_id
 WHERE rule.run_id = ANY (CAST(:runs AS bigint[])) AND rule.ended_at IS NULL
 ORDER BY rule.position, rule.id
"""


def rules_of(run_id: int) -> list[Rule]:
    """The rules in force of a run as the decision sees them, in one query. Who sells a seat holds the run's lock."""
    return _rules_by_run([run_id])[run_id]


def _rules_by_run(run_ids: Sequence[int]) -> dict[int, list[Rule]]:
    """The rules in force of these runs, by position; no query for no run."""
    rules: dict[int, list[Rule]] = {run_id: [] for run_id in run_ids}
    for run_id, rule_id, kind, *rest in read_rows(_IN_FORCE, {"runs": list(run_ids)}) if run_ids else []:
        rules[run_id].append(Rule(rule_id, RuleKind(kind), *rest))
    return rules


def public_prices(runs: Iterable[Priced], *, now: datetime) -> dict[int, Price]:
    """What a stranger pays for a seat of each run, by the run's id, in one query at most for all of them."""
    wanted = {run.id: run for run in runs if not run.is_free}
    rules = _rules_by_run([run.id for run in wanted.values() if run.has_price_rules])
    prices = {}
    for run_id, run in wanted.items():
        facts = PriceFacts(run.price, today=now.astimezone(run.tzinfo).date(), seats_taken=run.seats_taken)
        prices[run_id] = pricing_rules.decide(rules.get(run_id, []), facts)
    return prices


def as_rule(row: PriceRule) -> Rule:
    """A row as the decision sees it."""
    return Rule(
        rule_id=row.id,
        kind=RuleKind(row.kind),
        currency=row.currency,
        price=row.price_minor,
        percent_off=row.percent_off,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        first_seats=row.first_seats,
        colleagues_from=row.colleagues_from,
        organisation_id=row.organisation_id,
        organisation_zh=row.organisation.name_zh if row.organisation else "",
        organisation_en=row.organisation.name_en if row.organisation else "",
    )


def list_in_force(run_ids: Sequence[int]) -> Sequence[PriceRule]:
    """The rules in force of these runs with their organisations, by position; no query for no run."""
    if not run_ids:
        return []
    query = select(PriceRule).where(PriceRule.run_id.in_(run_ids), PriceRule.ended_at.is_(None))
    return db.session.scalars(
        query.options(joinedload(PriceRule.organisation)).order_by(PriceRule.position, PriceRule.id)
    ).all()


def list_ended(run_id: int, *, limit: int = 50) -> Sequence[PriceRule]:
    """The rules and versions of rules that are no longer in force, the last ended first."""
    query = select(PriceRule).where(PriceRule.run_id == run_id, PriceRule.ended_at.is_not(None))
    return db.session.scalars(query.order_by(PriceRule.ended_at.desc(), PriceRule.id.desc()).limit(limit)).all()


def get_rule(run_id: int, public_id: str) -> PriceRule:
    """A rule of this run, in force or not; raises NotFound, also for another run's."""
    query = select(PriceRule).where(PriceRule.run_id == run_id, PriceRule.public_id == public_id)
    found = db.session.scalar(query)
    if found is None:
        raise NotFound
    return found


def add_rule(run_id: int, rule: Rule, *, actor_id: int | None, now: datetime) -> PriceRule:
    """Put a rule at the end of a run's list. Locks the run, so that no order is priced in between; raises Invalid."""
    with transaction():
        run = locked(CourseRun, run_id)
        last, count = db.session.execute(
            select(func.max(PriceRule.position), func.count()).where(
                PriceRule.run_id == run_id, PriceRule.ended_at.is_(None)
            )
        ).one()
        if count >= MOST_RULES:
            raise Refused("too_many_price_rules", lazy("A run has at most twenty price rules. End one first."))
        run.has_price_rules = True
        return _written(run, rule, position=(last or 0) + 1, actor_id=actor_id, now=now)


def change_rule(rule_id: int, rule: Rule, *, actor_id: int | None, now: datetime) -> PriceRule:
    """End a rule and write its next version in its place; orders keep naming the version they were sold by.

    Locks run and rule; raises Invalid, or Refused when the rule is no longer in force.
    """
    with transaction():
        old = _locked_in_force(rule_id)
        _end(old, actor_id=actor_id, now=now)
        return _written(old.run, rule, position=old.position, actor_id=actor_id, now=now, replaces_id=old.id)


def end_rule(rule_id: int, *, actor_id: int | None, now: datetime) -> PriceRule:
    """Let a rule no longer apply, from this moment on. Locks run and rule; ending it twice changes nothing."""
    with transaction():
        rule = _locked(rule_id)
        if rule.ended_at is None:
            _end(rule, actor_id=actor_id, now=now)
            rule.run.has_price_rules = bool(list_in_force([rule.run_id]))
        return rule


def _locked(rule_id: int) -> PriceRule:
    run_id = db.session.scalar(select(PriceRule.run_id).where(PriceRule.id == rule_id))
    if run_id is None:
        raise NotFound
    locked(CourseRun, run_id)
    return locked(PriceRule, rule_id)


def _locked_in_force(rule_id: int) -> PriceRule:
    rule = _locked(rule_id)
    if rule.ended_at is not None:
        raise Refused(
            "price_rule_ended", lazy("This rule has been changed or ended meanwhile. Please look at the list again.")
        )
    return rule


def _end(rule: PriceRule, *, actor_id: int | None, now: datetime) -> None:
    rule.ended_at = now
    rule.ended_by_id = actor_id
    db.session.flush()


def _written(
    run: CourseRun, rule: Rule, *, position: int, actor_id: int | None, now: datetime, replaces_id: int | None = None
) -> PriceRule:
    pricing_rules.check(rule, list_price=run.price)
    return add(
        PriceRule(
            run_id=run.id,
            position=position,
            kind=rule.kind.value,
            currency=run.currency,
            price_minor=rule.price,
            percent_off=rule.percent_off,
            starts_on=rule.starts_on,
            ends_on=rule.ends_on,
            first_seats=rule.first_seats,
            colleagues_from=rule.colleagues_from,
            organisation_id=rule.organisation_id,
            replaces_id=replaces_id,
            created_at=now,
            created_by_id=actor_id,
        )
    )
