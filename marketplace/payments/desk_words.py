"""The words of the desk: next actions, steps of the waterfall, acts, kinds of search hits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace.enrolment.refund_rules import DEBT_GONE, DEBT_RETURNED, Ground, Payer
from marketplace.foundation.formats import format_date, format_money
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import ngettext, pick
from marketplace.funding.subsidy_states import State
from marketplace.payments.external_refunds import DASHBOARD
from marketplace.payments.next_action_rules import Action, Actor
from marketplace.payments.waterfall_rules import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from marketplace.enrolment.changes import Move


def actor_names() -> Mapping[Actor, str]:
    """Who does it."""
    return {
        Actor.LEARNER: _("The learner"),
        Actor.OFFICER: _("Finance staff"),
        Actor.SECOND_OFFICER: _("Another finance officer"),
        Actor.SYSTEM: _("The marketplace, by itself"),
        Actor.BANK: _("The bank"),
        Actor.NOBODY: _("Nobody"),
    }


def payer_names() -> Mapping[Payer, str]:
    """Whose share of a refund it is, and what becomes of it."""
    return {
        Payer.LEARNER: _("Back to the learner"),
        Payer.FUNDER: _("Off what the funding programme pays"),
        Payer.VOUCHER: _("Back to the voucher"),
    }


def action_names() -> Mapping[Action, str]:
    """What should happen next."""
    return {
        Action.DECIDE_DISPUTE: _(
            "Give Stripe the evidence about the disputed payment, and say what becomes of the place."
        ),
        Action.DECIDE_DISPUTED_PLACE: _("The bank has decided. Say what becomes of the place."),
        Action.DECIDE_OUTSIDE_REFUND: _("Money was given back outside. Say what becomes of the place."),
        Action.REVERSE_FAPIAO: _("Reverse the fapiao in the tax system, then record it."),
        Action.ISSUE_FAPIAO: _("A fapiao is asked for. Make it in the tax system, then record it."),
        Action.RESOLVE_DISCREPANCY: _("Find out what does not add up, and close it with a note."),
        Action.REPEAT_REFUND: _("A refund failed. Send it again, or give the money back in another way."),
        Action.SEND_BANK_REFUND: _("Transfer the money back at the bank, then enter the reference."),
        Action.APPROVE_TRANSFER: _("Look at the bank transfer and approve it or turn it down."),
        Action.APPROVE_WRITE_OFF: _("Look at what is to be written off and approve it or turn it down."),
        Action.DECIDE_MONEY: _("Money is here and bought nothing. Give it back."),
        Action.WAIT_FOR_BANK: _("It decides about the disputed payment, and looks at evidence until its day."),
        Action.WAIT_FOR_REFUND: _("A refund is on its way."),
        Action.WAIT_FOR_PAYMENT: _("The payment is on its way; the seat is kept meanwhile."),
        Action.PAY: _("The order waits for its payment."),
        Action.END_UNPAID: _("The time to pay is over: the order ends within a minute."),
        Action.PAY_DEBT: _("What is owed for a subsidy is still to be paid."),
        Action.EARN: _("The run is over: its revenue is shared within the hour."),
        Action.TAKE_PART: _("The place is sold; its revenue is shared when the run is over."),
        Action.NOTHING: _("Nothing is left to do."),
    }


def step_names() -> Mapping[Step, str]:
    """The steps of the waterfall."""
    return {
        Step.LIST_PRICE: _("List price"),
        Step.PRICE_RULES: _("Price rules"),
        Step.PRICE: _("Price"),
        Step.SUBSIDY: _("A funding programme was to pay"),
        Step.VOUCHER: _("A voucher was to pay"),
        Step.DUE: _("Due from the learner"),
        Step.UNPAID: _("Less or more than was due"),
        Step.PAID: _("Paid by the learner"),
        Step.REFUNDED: _("Given back to the learner"),
        Step.DISPUTED: _("Lost in a dispute"),
        Step.RETURNING: _("On its way back to the learner"),
        Step.HELD: _("Held by the bank while it decides"),
        Step.DEBT_PAID: _("Paid by the learner for a subsidy"),
        Step.DEBT_LEFT: _("Still owed by the learner for it"),
        Step.WRITTEN_OFF: _("Written off, borne by the marketplace"),
        Step.TAKEN_BACK: _("Taken back by the funder, borne by the marketplace"),
        Step.FUNDED: _("Subsidy and voucher"),
        Step.KEPT: _("What the order is worth now"),
        Step.SHARED_BEFORE: _("Shared before the bank took it"),
        Step.UNEARNED: _("Not earned before the run is over"),
        Step.TAX: _("Tax"),
        Step.PLATFORM_FEE: _("Platform fee"),
        Step.PROVIDER: _("Owed to the provider"),
    }


def debt_reasons() -> Mapping[str, str]:
    """Why a learner owes a subsidy, by its state."""
    return {
        State.LAPSED: _("The subsidy lapsed"),
        State.REJECTED: _("The programme rejected the subsidy"),
        State.REVOKED: _("The funder took the subsidy back"),
        State.REPAID: _("The funder took the subsidy back"),
    }


def refund_reasons() -> Mapping[str, str]:
    """Why the marketplace gave money back by itself; what is not here, staff have written."""
    return {
        "seat_gone": _("The seat had gone when the money came"),
        "claim_gone": _("What a voucher or a programme was to pay had gone when the money came"),
        "paid_twice": _("It was paid once more"),
        "never_sold": _("It had bought nothing"),
        DEBT_GONE: _("Nothing was owed any more"),
        DEBT_RETURNED: _("What was paid for the subsidy is not owed"),
        "deferral_difference": _("The place moved to a cheaper date"),
        DASHBOARD: _("Given back at Stripe, outside the marketplace"),
        f"cancelled:{Ground.WITHDRAWAL}": _("Withdrawn without a reason, in time"),
        f"cancelled:{Ground.POLICY}": _("Cancelled by the terms of the order"),
        f"cancelled:{Ground.PROVIDER}": _("Cancelled by the provider"),
    }


def act_names() -> Mapping[str, str]:
    """What staff did."""
    return {
        "refund": _("Refund asked for"),
        "transfer_entered": _("Bank transfer entered"),
        "transfer_approved": _("Bank transfer approved"),
        "transfer_declined": _("Bank transfer turned down"),
        "bank_refund_sent": _("Refund sent by bank transfer"),
        "sponsor_payment_entered": _("Payment of a sponsor entered"),
        "sponsor_payment_approved": _("Payment of a sponsor approved"),
        "sponsor_payment_declined": _("Payment of a sponsor turned down"),
        "bank_money_recorded": _("Bank money recorded that fits no order"),
        "unmatched_answered": _("Said what money without a fact is"),
        "unmatched_approved": _("Agreed with what money without a fact is"),
        "unmatched_declined": _("Turned down what money without a fact was said to be"),
        "write_off_entered": _("Write-off entered"),
        "write_off_approved": _("Write-off approved"),
        "write_off_declined": _("Write-off turned down"),
        "terms_set": _("Revenue terms set"),
        "dispute_decided": _("Place of a disputed payment decided about"),
        "outside_refund_decided": _("Place of an outside refund decided about"),
        "order_moved": _("Order moved to another run"),
        "mail_resent": _("Confirmation mailed again"),
        "refund_repeated": _("Refund sent again"),
        "event_retried": _("Event handled again"),
        "event_resolved": _("Event closed"),
        "job_retried": _("Job run again"),
        "job_resolved": _("Job given up"),
        "discrepancy_resolved": _("Discrepancy closed"),
        "discrepancy_retried": _("Discrepancy looked at again"),
    }


def move_words(one: Move) -> str:
    """A run an order could be moved to, in a line."""
    starts_at = one.run.starts_at
    day = format_date(starts_at.astimezone(one.run.tzinfo), "long", rebase=False) if starts_at else _("No dates yet")
    seats = ngettext("%(num)s seat left", "%(num)s seats left", one.seats_left)
    back = (
        _("%(amount)s goes back", amount=format_money(-one.difference)) if one.difference.minor else _("nothing to pay")
    )
    told = [day, str(pick(one.run, "place")), format_money(one.price), seats, back]
    return " · ".join([*told, _("without the subsidy")] if one.is_subsidy_over else told)


def hit_names() -> Mapping[str, str]:
    """What a search found an order by."""
    return {
        "order": _("Order"),
        "invoice": _("Invoice"),
        "fapiao": _("Fapiao"),
        "person": _("Person"),
        "taker": _("Who took the place over"),
        "attempt": _("Payment"),
        "refund": _("Refund"),
        "stripe": _("Movement at Stripe"),
        "transfer": _("Bank transfer"),
        "voucher": _("Voucher"),
        "subsidy": _("Subsidy"),
    }
