"""What the pages of the desk show beside the rows themselves: timelines, bars, words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketplace.enrolment import pages
from marketplace.enrolment.refund_rules import Payer, by_payer
from marketplace.foundation.errors import Refused
from marketplace.foundation.formats import format_money
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.money import Money
from marketplace.payments import books, desk, desk_words, next_action_rules, refunds, waterfall_rules

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from marketplace.enrolment.models import Order
    from marketplace.payments.desk import OrderFile
    from marketplace.payments.forms import RefundForm
    from marketplace.payments.models import LedgerTransaction
    from marketplace.payments.next_action_rules import NextAction
    from marketplace.payments.waterfall_rules import Drawn

Line = tuple[str, "datetime", str | None]


@dataclass(frozen=True)
class FilePage:
    """An order's file as shown."""

    next: NextAction
    bars: list[Drawn]
    timeline: list[Line]
    may_enter_transfer: bool
    is_paid: bool
    # A bank holds what was paid for the place, or a part, so nothing of it can be given back.
    is_frozen: bool


def file_page(file: OrderFile, *, now: datetime) -> FilePage:
    """The next action, the waterfall and everything that happened, oldest first."""
    standing = desk.standing_of(file)
    bars = waterfall_rules.drawn(waterfall_rules.waterfall(desk.sold_of(file.order), desk.moved_of(file)))
    timeline = sorted(
        [*_order_lines(file), *_money_lines(file), *_ledger_lines(file), *_act_lines(file), *_mail_lines(file)],
        key=lambda line: line[1],
    )
    following = next_action_rules.next_action(standing, now=now)
    return FilePage(
        following,
        bars,
        timeline,
        may_enter_transfer=file.order.total_minor > 0,
        is_paid=file.order.confirmed_at is not None or standing.is_paid,
        is_frozen=desk.is_frozen(file),
    )


def must_show_shares(order: Order, form: RefundForm, *, ends_place: bool) -> bool:
    """Whether the page has yet to say how an amount is divided, because more than the learner has a share.

    Then the form holds the shares, and is to be shown once more. What is wrong with the amount is said when it is done.
    """
    try:
        shares = refunds.divide(order, form.money, ends_place=ends_place)
    except Refused:
        return False
    told = refunds.told(shares)
    if all(share.part.payer is Payer.LEARNER for share in shares):
        # What was shown before the amount, or what becomes of the place, was changed.
        form.shown.data = ""
        return False
    if form.shown.data == told:
        return False
    form.shown.data = told
    names = desk_words.payer_names()
    sums = by_payer(shares).items()
    form.shares = [(names[payer], format_money(Money(minor, order.currency))) for payer, minor in sums]
    return True


def _order_lines(file: OrderFile) -> list[Line]:
    names = pages.event_names()
    return [(names.get(event.kind, event.kind), event.occurred_at, None) for event in file.order.events]


def _money_lines(file: OrderFile) -> list[Line]:
    attempts, refunds = books.attempt_names(), books.refund_names()
    lines: list[Line] = [
        (
            _("Payment: %(state)s", state=attempts[one.state][0]),
            one.paid_at or one.created_at,
            f"{format_money(one.amount)} · {one.payment_intent_id or one.session_id or _('Bank transfer')}",
        )
        for one in file.money.attempts
    ]
    return lines + [
        (
            _("Refund: %(state)s", state=refunds[one.state][0]),
            one.settled_at or one.created_at,
            f"{format_money(one.amount)} · {one.stripe_refund_id or one.public_id}",
        )
        for one in file.money.refunds
    ]


def _ledger_lines(file: OrderFile) -> list[Line]:
    names = books.posting_names()
    return [
        (_("Posted: %(kind)s", kind=names.get(one.kind, one.kind)), one.occurred_at, _debits(one))
        for one in file.money.transactions
    ]


def _debits(posted: LedgerTransaction) -> str:
    """How much a posting moved, in each currency."""
    moved: Counter[str] = Counter()
    for entry in posted.entries:
        moved[entry.currency] += max(entry.amount_minor, 0)
    return " · ".join(format_money(Money(minor, currency)) for currency, minor in sorted(moved.items()))


def _act_lines(file: OrderFile) -> list[Line]:
    names = desk_words.act_names()
    return [(names.get(one.kind, one.kind), one.occurred_at, f"{one.person.name}: {one.reason}") for one in file.acts]


def _mail_lines(file: OrderFile) -> list[Line]:
    return [(_("Mail: %(subject)s", subject=one.subject), one.created_at, None) for one in file.mails]


def names() -> dict[str, Mapping[Any, Any]]:
    """The words an order's file needs, by what they name."""
    return {
        "states": pages.state_names(),
        "accounts": books.account_names(),
        "postings": books.posting_names(),
        "attempts": books.attempt_names(),
        "refunds": books.refund_names(),
        "discrepancies": books.discrepancy_names(),
        "steps": desk_words.step_names(),
        "actors": desk_words.actor_names(),
        "actions": desk_words.action_names(),
        "transfers": transfer_names(),
        "disputes": dispute_names(),
        "debts": desk_words.debt_reasons(),
        "reasons": desk_words.refund_reasons(),
    }


def transfer_names() -> dict[str, tuple[str, str]]:
    """The states of a bank transfer in words, with the kind of their badge."""
    return {
        "proposed": (_("Waits for a second officer"), "warn"),
        "settled": (_("Booked"), "good"),
        "declined": (_("Turned down"), "bad"),
    }


def dispute_names() -> dict[str, tuple[str, str]]:
    """The states of a dispute in words, with the kind of their badge."""
    return {
        "inquiry": (_("Inquiry"), "warn"),
        "open": (_("In dispute"), "bad"),
        "won": (_("Won"), "good"),
        "lost": (_("Lost"), "bad"),
    }


def queue_names() -> dict[str, str]:
    """The queues in words, in the order of how soon somebody waits for them."""
    return {
        "disputes": _("Disputes to decide about"),
        "transfers": _("Bank transfers to approve"),
        "write_offs": _("Write-offs to approve"),
        "sponsor_payments": _("Payments of sponsors to approve"),
        "bank_refunds": _("Refunds to send at the bank"),
        "outside_refunds": _("Outside refunds to decide about"),
        "fapiao": _("Fapiao to make or reverse"),
        "failed_refunds": _("Failed refunds"),
        "unmatched": _("Money without a fact"),
        "discrepancies": _("What does not add up"),
        "events": _("Unknown events of Stripe"),
        "dead": _("Jobs that gave up"),
    }


def job_names() -> dict[str, str]:
    """What a job works for, by the part of its name before the dot."""
    return {
        "accounts": _("Accounts"),
        "catalog": _("Courses"),
        "enrolment": _("Seats and orders"),
        "funding": _("Subsidies"),
        "mail": _("Mail"),
        "participation": _("Attendance and completion"),
        "payments": _("Payments"),
        "pictures": _("Pictures"),
        "privacy": _("Personal data"),
    }


def movement_kinds() -> dict[str, str]:
    """What moved at Stripe, by Stripe's own word for it; a word of Stripe's that is not here is shown as it is."""
    return {
        "charge": _("Payment"),
        "payment": _("Payment"),
        "refund": _("Refund"),
        "payment_refund": _("Refund"),
        "adjustment": _("Dispute"),
        "payout": _("Payout"),
        "refund_failure": _("Failed refund"),
        "payment_failure_refund": _("Failed refund"),
        "payout_failure": _("Failed payout"),
        "payout_cancel": _("Payout called off"),
        "stripe_fee": _("Fee of Stripe's"),
        "stripe_fx_fee": _("Fee of Stripe's for an exchange"),
        "tax_fee": _("Tax that Stripe keeps"),
    }


def event_names() -> dict[str, str]:
    """What Stripe tells of, by its own word for it: those that can be about nothing of ours."""
    return {
        "checkout.session.completed": _("A payment page was completed"),
        "checkout.session.async_payment_succeeded": _("A delayed payment arrived"),
        "checkout.session.async_payment_failed": _("A delayed payment failed"),
        "checkout.session.expired": _("A payment page was closed"),
        "payment_intent.succeeded": _("A payment succeeded"),
        "payment_intent.payment_failed": _("A payment failed"),
        "payment_intent.processing": _("A payment is on its way"),
        "charge.dispute.created": _("A dispute was opened"),
        "charge.dispute.updated": _("A dispute has changed"),
        "charge.dispute.funds_withdrawn": _("A dispute took its money"),
        "charge.dispute.funds_reinstated": _("A dispute gave its money back"),
        "charge.dispute.closed": _("A dispute was decided"),
        "refund.created": _("A refund was made"),
        "refund.updated": _("A refund has changed"),
        "refund.failed": _("A refund failed"),
        "charge.refund.updated": _("A refund has changed"),
    }


def movement_names() -> dict[str, tuple[str, str]]:
    """How a movement at Stripe stands to our facts, with the kind of its badge."""
    return {
        "new": (_("Not looked at yet"), ""),
        "matched": (_("Agrees"), "good"),
        "differs": (_("Another amount"), "bad"),
        "missing_here": (_("Missing in our books"), "warn"),
        "unknown": (_("Belongs to nothing"), "bad"),
    }
