"""Where a place is given up after the sale: what it would cost is shown first, and the same is done when it is pressed.

Four decisions, four records: the cancellation (why and under which terms), what is due back to whom (RefundDue), the
end of the enrolment, and the revocation of its sources. All are written in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from marketplace.accounts import letters
from marketplace.accounts.models import Person
from marketplace.enrolment import places, policies, refund_rules, returns
from marketplace.enrolment.change_models import Cancellation
from marketplace.enrolment.refund_rules import Ground, Payer, Share, Terms, Verdict
from marketplace.enrolment.timeline import record
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from marketplace.enrolment.models import Enrolment
    from marketplace.enrolment.places import Place


@dataclass(frozen=True)
class Statement:
    """What cancelling a place means now: the page shows it, the verb does it, the record keeps it."""

    terms: Terms
    verdict: Verdict
    paid: Money
    kept: Money
    returned_before: Money
    back: Money
    shares: Sequence[Share]

    @property
    def by_payer(self) -> list[tuple[Payer, Money]]:
        """What goes back to each payer that gets anything."""
        totals = [(payer, sum(share.minor for share in self.shares if share.part.payer is payer)) for payer in Payer]
        return [(payer, Money(total, self.paid.currency)) for payer, total in totals if total]


class StatementChanged(Refused):
    """A deadline has passed since the page was shown; the person looks at the new amounts and decides again."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "statement_changed", lazy("What goes back has changed since you saw it. Please look at it again.")
        )


def state(place: Place, *, now: datetime) -> Statement:
    """What cancelling this place means at `now`, by the terms its first order was sold under; raises Refused."""
    if not place.lines:
        raise Refused("not_sold", lazy("This place was not bought, so there is nothing to cancel. Ask the provider."))
    places.check_undisputed(place)
    order, run = place.orders[0], place.run
    terms = policies.terms_of(place.lines[0].policy_id)
    verdict = refund_rules.decide(
        terms,
        starts_at=run.starts_at or now,
        zone=run.zone,
        confirmed_at=order.confirmed_at or order.placed_at,
        now=now,
    )
    return _statement(place, terms, verdict)


def state_by_provider(place: Place, *, now: datetime) -> Statement:
    """The same when the provider cancels: nothing is kept, whatever the terms say."""
    terms = policies.terms_of(place.lines[0].policy_id)
    return _statement(place, terms, Verdict(Ground.PROVIDER, 0, now))


def _statement(place: Place, terms: Terms, verdict: Verdict) -> Statement:
    currency = returns.currency_of(place.orders)
    parts = returns.parts_of(place.order_ids)
    shares = refund_rules.share_when_ended(parts, verdict.kept_percent)
    paid, before = sum(part.paid for part in parts), sum(part.returned for part in parts)
    back = sum(share.minor for share in shares)
    return Statement(
        terms=terms,
        verdict=verdict,
        paid=Money(paid, currency),
        kept=Money(max(0, paid - before - back), currency),
        returned_before=Money(before, currency),
        back=Money(back, currency),
        shares=shares,
    )


def cancel_place(enrolment_id: int, *, shown: Money, actor_id: int, reason: str, now: datetime) -> Cancellation:
    """Give up a place by the terms it was sold under. Locks the orders behind it and the run.

    `shown` is what the person was told goes back. Raises Refused: ended, started, StatementChanged.
    """
    with transaction():
        place = places.lock(enrolment_id)
        statement = state(place, now=now)
        if statement.back != shown:
            raise StatementChanged
        return carry_out(place, statement, actor_id=actor_id, reason=reason, now=now)


def carry_out(place: Place, statement: Statement, *, actor_id: int | None, reason: str, now: datetime) -> Cancellation:
    """Write all four records for a locked place, and the mail. Call inside a transaction."""
    cancellation = add(
        Cancellation(
            enrolment_id=place.enrolment.id,
            ground=statement.verdict.ground,
            policy_id=statement.terms.version,
            paid_minor=statement.paid.minor,
            kept_minor=statement.kept.minor,
            returned_minor=statement.back.minor,
            currency=statement.paid.currency,
            reason=reason,
            facts=_facts(statement),
            decided_at=now,
            decided_by_id=actor_id,
        )
    )
    # Before the place ends: a voucher is locked before a funding programme, which is let go of with the place.
    returns.leave(
        statement.shares,
        currency=statement.paid.currency,
        reason=f"cancelled:{statement.verdict.ground}",
        key=f"cancellation:{cancellation.public_id}",
        now=now,
    )
    places.end(place, "cancelled", now=now, actor_id=actor_id)
    places.end_orders(place, now=now, actor_id=actor_id)
    if statement.back.minor:
        record(place.orders[0], "refund_due", now=now, actor_id=actor_id, details={"amount": statement.back.minor})
    _tell(place, cancellation)
    return cancellation


def _facts(statement: Statement) -> dict[str, Any]:
    return {
        "kept_percent": statement.verdict.kept_percent,
        "until": statement.verdict.until.isoformat(),
        "returned_before": statement.returned_before.minor,
        "shares": {payer.value: money.minor for payer, money in statement.by_payer},
    }


def _tell(place: Place, cancellation: Cancellation) -> None:
    person = db.session.get_one(Person, place.enrolment.person_id)
    letters.write(
        person,
        "enrolment/place_cancelled",
        key=f"cancellation:{cancellation.public_id}",
        run=place.run,
        order=place.orders[0],
        cancellation=cancellation,
    )


def find(enrolment: Enrolment) -> Cancellation | None:
    """The cancellation of a place, if it was cancelled."""
    return db.session.scalars(select(Cancellation).filter_by(enrolment_id=enrolment.id)).one_or_none()
