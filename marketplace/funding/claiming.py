"""What a code and a budget are to write for an order, while what was decided without their locks still holds.

A code or a budget that everybody asks is locked until the order is committed, so it should be locked for little time:
`place_orders` (migration 0051) writes these with the order, in one statement, and looks under the locks whether they
still hold. What cannot be certain is left to `vouchers.redeem` and `subsidies.reserve`, which decide again.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from marketplace.foundation import clock, ids
from marketplace.funding import facts, subsidy_rules
from marketplace.funding.subsidy_states import State

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.funding.estimates import Estimate
    from marketplace.funding.subsidies import Ask
    from marketplace.funding.vouchers import VoucherShare


def redemption(share: VoucherShare, *, now: datetime) -> dict[str, Any] | None:
    """What to write for the code; its terms never change. None for one that gives its last money."""
    if share.left is not None:
        return None
    return {
        "voucher": share.voucher_id,
        "person": share.buyer.person_id,
        "person_cap": share.person_cap,
        "sponsor": share.sponsor_id,
        "amount": share.amount.minor,
        "currency": share.amount.currency,
        "now": now.isoformat(),
    }


def promise(ask: Ask, estimate: Estimate, *, now: datetime) -> dict[str, Any] | None:
    """What to write for the subsidy that `ask` asks for, and what `estimate` decided it from.

    None where it has to be decided again: nothing was agreed to, the page showed another amount, or the rule asks what
    the person has had, which is not certain without the lock.
    """
    version, decision = estimate.version, estimate.decision
    rule, programme = version.rule, version.programme
    is_as_shown = decision.is_granted and decision.amount == ask.shown and version.version == ask.version
    asks_what_was_had = rule.person_year_cap_minor is not None or rule.first_time_only
    if ask.consent is None or not is_as_shown or asks_what_was_had:
        return None
    frame = programme.frame
    day = subsidy_rules.day_of(now, frame.zone)
    days = (frame.applications_from, frame.applications_until, frame.runs_from, frame.runs_until)
    return {
        "programme": programme.id,
        "rule": version.id,
        "frame": [frame.currency, frame.zone, *(each and each.isoformat() for each in days)],
        "person": ask.buyer.person_id,
        "price": ask.price.minor,
        "amount": decision.amount.minor,
        "currency": frame.currency,
        "buyer": facts.recorded(ask.buyer),
        "offer": facts.recorded(ask.offer),
        "reasons": [asdict(reason) for reason in decision.reasons],
        "now": now.isoformat(),
        "recorded": clock.now().isoformat(),
        "text_version": ask.consent.text_version,
        "locale": ask.consent.locale,
        "text": ask.consent.text,
        "facts": list(ask.consent.facts),
        "public_id": ids.public_id(),
        "state": (State.APPLIED if rule.needs_review else State.RESERVED).value,
        "earn_by": subsidy_rules.earn_by(rule, ask.offer, day=day, zone=frame.zone).isoformat(),
    }
