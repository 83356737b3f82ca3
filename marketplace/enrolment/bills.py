"""Who pays what of a seat, line by line and in words: before it is ordered, and as it was sold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.catalog import price_words
from marketplace.catalog.pricing_rules import RuleKind
from marketplace.enrolment.models import OrderState
from marketplace.foundation.formats import format_money
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from marketplace.enrolment.models import Order, OrderLine
    from marketplace.enrolment.quotes import Quote


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line: what is taken off is below zero; the last line is what the buyer pays."""

    label: str
    amount: Money
    note: str = ""


def of_quote(quoted: Quote) -> list[BillLine]:
    """What the buyer would pay, and who pays the rest."""
    reason = price_words.reason(quoted.priced) if quoted.priced else ""
    found = _price(quoted.list_price, quoted.price, reason)
    if not quoted.subsidy.is_zero:
        found.append(BillLine(_("Paid by the subsidy"), -quoted.subsidy))
    share = quoted.voucher_share
    if share is not None:
        left = _("Only %(amount)s was left on this code.", amount=format_money(share.left)) if share.left else ""
        seat = _("Seats are kept for holders of this code.") if share.seat_pool_id else ""
        note = " ".join(filter(None, (left, seat)))
        found.append(BillLine(_("Paid by voucher %(code)s", code=share.label), -quoted.voucher, note))
    return [*found, BillLine(_("You pay"), quoted.due)]


def of_order(order: Order) -> list[BillLine]:
    """What was sold to whom for how much, frozen in the order's line; the last line says whether it was paid."""
    line = order.lines[0]

    def money(minor: int) -> Money:
        return Money(minor, order.currency)

    kept = line.price_rule
    if is_difference(line):
        return [
            BillLine(_("Difference to the dearer date"), money(line.due_minor)),
            BillLine(_asked_of_buyer(order), money(line.due_minor)),
        ]
    rule = kept.get("pricing", {}).get("rule")
    reason = price_words.kind_names().get(RuleKind(rule), "") if rule in set(RuleKind) else ""
    found = _price(money(kept.get("list_price_minor", line.price_minor)), money(line.price_minor), reason)
    if line.subsidy_minor:
        found.append(BillLine(_("Paid by the subsidy"), money(-line.subsidy_minor)))
    if line.voucher_minor:
        code = next(
            (params["voucher"] for code, params, _minor in kept.get("explanation", []) if code == "voucher"), ""
        )
        found.append(BillLine(_("Paid by voucher %(code)s", code=code), money(-line.voucher_minor)))
    return [*found, BillLine(_asked_of_buyer(order), money(line.due_minor))]


def is_difference(line: OrderLine) -> bool:
    """Whether an order sells no place but what a dearer date costs on top, to whom has one."""
    return bool(line.price_rule.get("rule") == "deferral_difference")


def _asked_of_buyer(order: Order) -> str:
    if order.confirmed_at is not None:
        return _("You paid")
    return _("Was to be paid") if order.state in {OrderState.CANCELLED, OrderState.EXPIRED} else _("You pay")


def _price(list_price: Money, price: Money, reason: str) -> list[BillLine]:
    if price == list_price:
        return [BillLine(_("Price"), price)]
    return [BillLine(_("List price"), list_price), BillLine(reason, price - list_price), BillLine(_("Price"), price)]
