"""The money of an order in short sentences for the one who placed it: what they pay, who else pays, what went back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from marketplace.enrolment import bills
from marketplace.foundation.database import db
from marketplace.foundation.formats import format_date, format_money
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import pick
from marketplace.foundation.money import Money
from marketplace.funding import vouchers
from marketplace.funding.subsidy_models import Subsidy
from marketplace.funding.subsidy_states import State
from marketplace.payments import debts, frozen
from marketplace.payments.dispute_rules import DisputeState
from marketplace.payments.models import AttemptState, PaymentAttempt, Purpose, Refund

if TYPE_CHECKING:
    from marketplace.enrolment.models import Order, OrderLine
    from marketplace.payments.dispute_models import Dispute


def story_of(order: Order) -> list[str]:
    """The sentences, in the order in which things happen, in the language spoken here."""
    line = order.lines[0]
    if line.price_minor == 0:
        return [_("The place is free.")]
    attempts = db.session.scalars(select(PaymentAttempt).filter_by(order_id=order.id).order_by(PaymentAttempt.id)).all()
    paid = [one for one in attempts if one.state == AttemptState.PAID]
    return [
        *_price(order, line),
        *_subsidy(order, line),
        *_voucher(line),
        *_paid(order, [one for one in paid if one.purpose == Purpose.ORDER]),
        *_debt(order, [one for one in paid if one.purpose == Purpose.DEBT]),
        *_given_back([one.id for one in paid]),
        *(_dispute_sentence(one) for one in frozen.list_of_order(order.id)),
    ]


def _price(order: Order, line: OrderLine) -> list[str]:
    listed = int(line.price_rule.get("list_price_minor", line.price_minor))
    price, before = (format_money(Money(minor, order.currency)) for minor in (line.price_minor, listed))
    if bills.is_difference(line):
        there = format_money(Money(line.price_rule["price_minor"], order.currency))
        said = _("Your new date costs %(there)s: %(price)s more than your place so far, by order %(order)s.")
        return [said % {"there": there, "price": price, "order": line.price_rule["of"]}]
    if listed == line.price_minor:
        return [_("The price is %(price)s.", price=price)]
    return [_("The list price is %(before)s; by the rules of this run it is %(price)s.", before=before, price=price)]


def _subsidy(order: Order, line: OrderLine) -> list[str]:
    if not line.subsidy_minor:
        return []
    query = select(Subsidy).filter_by(order_line_id=line.id).options(joinedload(Subsidy.programme))
    found = db.session.scalars(query).one_or_none()
    if found is None:
        return []
    values = {
        "name": str(pick(found.programme, "name")),
        "amount": format_money(found.amount),
        "owed": format_money(found.owed),
    }
    told = [_subsidy_sentence(found) % values]
    if found.amount_minor != line.subsidy_minor:
        off = format_money(Money(line.subsidy_minor - found.amount_minor, order.currency))
        told.append(_("%(amount)s came off what it pays, as its share of what went back.", amount=off))
    return told


def _subsidy_sentence(found: Subsidy) -> str:
    state = State(found.state)
    if state is State.APPLIED:
        return _("%(name)s is looking at your application for %(amount)s.")
    if state is State.RESERVED:
        return _("%(name)s pays %(amount)s of it, if you meet the conditions.")
    if state in {State.EARNED, State.CLAIMED, State.PAID}:
        return _("%(name)s pays %(amount)s of it.")
    if state in {State.LAPSED, State.REJECTED}:
        return (
            _("%(name)s does not pay the %(amount)s; you owe %(owed)s of it.")
            if found.owed_minor
            else _("%(name)s does not pay the %(amount)s; you owe nothing for it.")
        )
    if state in {State.REVOKED, State.REPAID}:
        return (
            _("%(name)s took back the %(amount)s it had paid; you owe %(owed)s of it.")
            if found.owed_minor
            else _("%(name)s took back the %(amount)s it had paid; you owe nothing for it.")
        )
    return (
        _("The %(amount)s that %(name)s had paid is owed back to it.")
        if state is State.CLAWED_BACK
        else _("The %(amount)s of %(name)s went back to it.")
    )


def _voucher(line: OrderLine) -> list[str]:
    redemption = vouchers.find_redemption(line.id) if line.voucher_minor else None
    if redemption is None:
        return []
    if redemption.kept.is_zero:
        return [_("The %(amount)s of your code went back to it.", amount=format_money(redemption.amount))]
    return [_("Your code pays %(amount)s of it.", amount=format_money(redemption.kept))]


def _paid(order: Order, paid: list[PaymentAttempt]) -> list[str]:
    if paid:
        return [
            _(
                "You paid %(amount)s on %(day)s.",
                amount=format_money(one.amount),
                day=format_date(one.paid_at or one.created_at, "long"),
            )
            for one in paid
        ]
    if order.total.is_zero:
        return [_("Nothing is left for you to pay.")]
    if order.is_open:
        return [_("You have still to pay %(amount)s.", amount=format_money(order.total))]
    return [_("Nothing was charged.")]


def _debt(order: Order, paid: list[PaymentAttempt]) -> list[str]:
    """What became of what they owed for the subsidy."""
    debt = debts.find(order.public_id)
    if debt is None:
        return []
    told = [
        _(
            "You paid %(amount)s of what you owed on %(day)s.",
            amount=format_money(one.amount),
            day=format_date(one.paid_at or one.created_at, "long"),
        )
        for one in paid
    ]
    if not debt.written_off.is_zero:
        told.append(_("%(amount)s of what you owed is waived.", amount=format_money(debt.written_off)))
    if debt.is_open and debt.left != debt.owed:
        told.append(_("You still owe %(amount)s.", amount=format_money(debt.left)))
    return told


def _given_back(attempt_ids: list[int]) -> list[str]:
    if not attempt_ids:
        return []
    query = select(Refund).where(Refund.attempt_id.in_(attempt_ids)).order_by(Refund.id)
    return [_refund_sentence(one) for one in db.session.scalars(query)]


def _refund_sentence(refund: Refund) -> str:
    amount = format_money(refund.amount)
    if refund.state == "succeeded":
        return _(
            "%(amount)s was given back to you on %(day)s.",
            amount=amount,
            day=format_date(refund.settled_at or refund.created_at, "long"),
        )
    if refund.state == "failed":
        return _("A refund of %(amount)s did not reach you; we are looking for another way.", amount=amount)
    return _("%(amount)s is on its way back to you.", amount=amount)


def _dispute_sentence(dispute: Dispute) -> str:
    values = {
        "amount": format_money(dispute.amount),
        "day": format_date(dispute.closed_at or dispute.opened_at, "long"),
    }
    if dispute.state == DisputeState.WON:
        return _("Your bank decided on %(day)s that your payment of %(amount)s stands.", **values)
    if dispute.state == DisputeState.LOST:
        return _(
            "Your bank decided on %(day)s that %(amount)s goes back to you; you have it from your bank, not from us.",
            **values,
        )
    if dispute.state == DisputeState.INQUIRY:
        return _("On %(day)s your bank asked us about your payment of %(amount)s.", **values)
    return _("On %(day)s your bank asked for %(amount)s of it back and holds that until it has decided.", **values)
