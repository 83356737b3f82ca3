"""Pure rules of the next action: what should happen with an order now, and who does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Actor(StrEnum):
    """Who does it."""

    LEARNER = "learner"
    OFFICER = "officer"
    SECOND_OFFICER = "second_officer"
    SYSTEM = "system"
    BANK = "bank"
    NOBODY = "nobody"


class Action(StrEnum):
    """What should happen; the words are in desk_words."""

    DECIDE_DISPUTE = "decide_dispute"
    DECIDE_DISPUTED_PLACE = "decide_disputed_place"
    DECIDE_OUTSIDE_REFUND = "decide_outside_refund"
    REVERSE_FAPIAO = "reverse_fapiao"
    ISSUE_FAPIAO = "issue_fapiao"
    RESOLVE_DISCREPANCY = "resolve_discrepancy"
    REPEAT_REFUND = "repeat_refund"
    SEND_BANK_REFUND = "send_bank_refund"
    APPROVE_TRANSFER = "approve_transfer"
    APPROVE_WRITE_OFF = "approve_write_off"
    DECIDE_MONEY = "decide_money"
    WAIT_FOR_BANK = "wait_for_bank"
    WAIT_FOR_REFUND = "wait_for_refund"
    WAIT_FOR_PAYMENT = "wait_for_payment"
    PAY = "pay"
    END_UNPAID = "end_unpaid"
    PAY_DEBT = "pay_debt"
    EARN = "earn"
    TAKE_PART = "take_part"
    NOTHING = "nothing"


ACTORS = {
    Action.DECIDE_DISPUTE: Actor.OFFICER,
    Action.DECIDE_DISPUTED_PLACE: Actor.OFFICER,
    Action.DECIDE_OUTSIDE_REFUND: Actor.OFFICER,
    Action.REVERSE_FAPIAO: Actor.OFFICER,
    Action.ISSUE_FAPIAO: Actor.OFFICER,
    Action.RESOLVE_DISCREPANCY: Actor.OFFICER,
    Action.REPEAT_REFUND: Actor.OFFICER,
    Action.SEND_BANK_REFUND: Actor.OFFICER,
    Action.APPROVE_TRANSFER: Actor.SECOND_OFFICER,
    Action.APPROVE_WRITE_OFF: Actor.SECOND_OFFICER,
    Action.DECIDE_MONEY: Actor.OFFICER,
    Action.WAIT_FOR_BANK: Actor.BANK,
    Action.WAIT_FOR_REFUND: Actor.SYSTEM,
    Action.WAIT_FOR_PAYMENT: Actor.SYSTEM,
    Action.PAY: Actor.LEARNER,
    Action.END_UNPAID: Actor.SYSTEM,
    Action.PAY_DEBT: Actor.LEARNER,
    Action.EARN: Actor.SYSTEM,
    Action.TAKE_PART: Actor.SYSTEM,
    Action.NOTHING: Actor.NOBODY,
}


@dataclass(frozen=True)
class Standing:
    """What is known of an order at this moment."""

    state: str
    is_paid: bool
    was_confirmed: bool
    expires_at: datetime | None
    run_ends_at: datetime | None
    # Nothing of what was paid is here any more.
    is_given_back: bool = False
    has_discrepancy: bool = False
    has_failed_refund: bool = False
    has_bank_refund: bool = False
    has_refund_on_its_way: bool = False
    has_proposed_transfer: bool = False
    has_unearned: bool = False
    has_place: bool = False
    has_debt: bool = False
    has_proposed_write_off: bool = False
    # A bank decides about a payment; until when it takes evidence, if it said so.
    has_open_dispute: bool = False
    evidence_due_by: datetime | None = None
    # Nobody has said what becomes of the place behind a payment that is or was in dispute.
    has_undecided_dispute: bool = False
    has_undecided_outside_refund: bool = False
    has_fapiao_to_reverse: bool = False
    has_fapiao_to_issue: bool = False


@dataclass(frozen=True)
class NextAction:
    """The most urgent thing to do: until when, where there is a time."""

    action: Action
    until: datetime | None = None

    @property
    def actor(self) -> Actor:
        """Who does it."""
        return ACTORS[self.action]

    @property
    def is_for_staff(self) -> bool:
        """Whether somebody at the desk has to act."""
        return self.actor in {Actor.OFFICER, Actor.SECOND_OFFICER}


def next_action(order: Standing, *, now: datetime) -> NextAction:
    """The first that applies: what staff must do before what is awaited, and what is awaited before what is over."""
    if order.has_open_dispute and order.has_undecided_dispute:
        return NextAction(Action.DECIDE_DISPUTE, order.evidence_due_by)
    staff = (
        (order.has_undecided_dispute, Action.DECIDE_DISPUTED_PLACE),
        (order.has_undecided_outside_refund, Action.DECIDE_OUTSIDE_REFUND),
        # A refund, by the bank as well, waits until it is done.
        (order.has_fapiao_to_reverse, Action.REVERSE_FAPIAO),
        (order.has_failed_refund, Action.REPEAT_REFUND),
        (order.has_bank_refund, Action.SEND_BANK_REFUND),
        (order.has_proposed_transfer, Action.APPROVE_TRANSFER),
        (order.has_proposed_write_off, Action.APPROVE_WRITE_OFF),
        (order.has_discrepancy, Action.RESOLVE_DISCREPANCY),
        (_has_idle_money(order), Action.DECIDE_MONEY),
        (order.has_fapiao_to_issue, Action.ISSUE_FAPIAO),
    )
    for applies, action in staff:
        if applies:
            return NextAction(action)
    if order.has_open_dispute:
        return NextAction(Action.WAIT_FOR_BANK, order.evidence_due_by)
    if order.has_refund_on_its_way:
        return NextAction(Action.WAIT_FOR_REFUND)
    if order.state in {"awaiting_payment", "payment_pending"}:
        return _open(order, now=now)
    return _settled(order, now=now)


def _has_idle_money(order: Standing) -> bool:
    """Whether money that bought nothing is here, and nothing sends it back."""
    return order.is_paid and not (order.was_confirmed or order.is_given_back or order.has_refund_on_its_way)


def _open(order: Standing, *, now: datetime) -> NextAction:
    if order.expires_at is not None and order.expires_at <= now:
        return NextAction(Action.END_UNPAID)
    if order.state == "payment_pending":
        return NextAction(Action.WAIT_FOR_PAYMENT, order.expires_at)
    return NextAction(Action.PAY, order.expires_at)


def _settled(order: Standing, *, now: datetime) -> NextAction:
    is_over = order.run_ends_at is not None and order.run_ends_at <= now
    if order.has_debt:
        return NextAction(Action.PAY_DEBT)
    if is_over and order.has_unearned:
        return NextAction(Action.EARN)
    if order.has_place and not is_over:
        return NextAction(Action.TAKE_PART, order.run_ends_at)
    return NextAction(Action.NOTHING)
