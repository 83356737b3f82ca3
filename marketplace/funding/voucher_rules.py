"""What a voucher pays of a price, and why it may not: decided from its terms, where it stands, and who buys what.

Vouchers come last: pricing rules make the price, a subsidy takes its part, and the voucher covers what is left, up to
its value and up to what is left on it. Nothing here knows a session, a clock or a request.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy, lazy_day
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from flask_babel import LazyString

    from marketplace.funding.facts import Buyer, Offer

WHOLE = 100
# What is drawn: Crockford's base 32 without I, L, O and U; sixteen characters are 80 bits, in groups to be read aloud.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
CODE_LENGTH = 16
GROUP = 4
# A code that is a word of a campaign is public, but not so short that it is hit by chance.
SHORTEST_WORD, LONGEST_WORD = 6, 32
# What has to be typed for a code without a cap on its uses or its money; either language will do.
UNCAPPED_SENTENCES = ("I want this code without a limit", "我确认此券不设上限")


class ValueKind(StrEnum):
    """How much a voucher pays of what is left for the buyer: an amount, a share, or all of it."""

    AMOUNT = "amount"
    PERCENT = "percent"
    FULL = "full"


class VoucherRefused(Refused):
    """A code cannot be used here; the sentence says why. HTTP 422, so that the throttle can tell it from other news."""

    status = 422


@dataclass(frozen=True, slots=True)
class Terms:
    """What every code of a batch is worth, for what and for whom; empty bounds bind nothing."""

    value_kind: ValueKind
    currency: str
    amount: int | None = None
    percent: int | None = None
    # Per code. None means no cap, which must have been asked for in words.
    use_cap: int | None = 1
    money_cap: int | None = None
    # How often one person may use one code.
    person_cap: int | None = 1
    starts_on: date | None = None
    ends_on: date | None = None
    run_ids: frozenset[int] = frozenset()
    course_ids: frozenset[int] = frozenset()
    provider_ids: frozenset[int] = frozenset()
    person_ids: frozenset[int] = frozenset()
    email_domains: frozenset[str] = frozenset()

    @property
    def is_capped(self) -> bool:
        """Whether both its uses and its money are bounded."""
        return self.use_cap is not None and self.money_cap is not None

    @property
    def value(self) -> Money | None:
        """What it is worth, for one that pays an amount."""
        return Money(self.amount, self.currency) if self.amount is not None else None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one code stands at this moment."""

    uses: int = 0
    spent: int = 0
    uses_by_person: int = 0
    is_ended: bool = False


def normal_code(text: str) -> str:
    """A code as it is compared, however it was typed: in capitals, with gaps or dashes, in full width, O for 0."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return "".join(letter for letter in plain if letter.isalnum()).translate(str.maketrans("oil", "011"))


def shown_code(code: str) -> str:
    """A drawn code as people read it: in capitals, in groups of four."""
    return "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP)).upper()


def code_from(bits: bytes) -> str:
    """Sixteen characters from ten random bytes."""
    number = int.from_bytes(bits[:10], "big")
    return "".join(ALPHABET[number >> 5 * place & 31] for place in range(CODE_LENGTH))


def decide(
    terms: Terms, standing: Standing, *, buyer: Buyer, offer: Offer, to_pay: Money, today: date
) -> tuple[Money, Money | None]:
    """What the code pays of `to_pay`, and what is left on it if that is why it pays no more; raises VoucherRefused.

    The amount is above zero and never above `to_pay`.
    """
    _check_time(terms, standing, today)
    _check_bounds(terms, buyer, offer)
    _check_uses(terms, standing)
    if to_pay.currency != terms.currency:
        raise VoucherRefused(
            "voucher_currency",
            lazy("This code pays in %(ours)s, and this run is priced in %(theirs)s.", ours=terms.currency,
                 theirs=to_pay.currency),
        )  # fmt: skip
    if to_pay.minor <= 0:
        raise VoucherRefused("voucher_not_needed", lazy("There is nothing left to pay, so you can keep your code."))
    wanted = value_for(terms, to_pay)
    if wanted.is_zero:
        # A per cent of a few fen: the code would be spent on nothing.
        raise VoucherRefused("voucher_not_needed", lazy("There is nothing left to pay, so you can keep your code."))
    left = _left(terms, standing)
    if left is None or left >= wanted.minor:
        return wanted, None
    if left <= 0:
        raise VoucherRefused("voucher_money_cap", lazy("All the money of this code is used up."))
    return Money(left, terms.currency), Money(left, terms.currency)


def value_for(terms: Terms, to_pay: Money) -> Money:
    """What the terms alone would pay of what is left for the buyer; a fraction of a fen stays with the buyer."""
    if terms.value_kind is ValueKind.FULL:
        return to_pay
    if terms.value_kind is ValueKind.PERCENT:
        return Money(to_pay.minor * (terms.percent or 0) // WHOLE, to_pay.currency)
    return Money(min(terms.amount or 0, to_pay.minor), to_pay.currency)


def _left(terms: Terms, standing: Standing) -> int | None:
    return None if terms.money_cap is None else terms.money_cap - standing.spent


def _check_time(terms: Terms, standing: Standing, today: date) -> None:
    if standing.is_ended:
        raise VoucherRefused("voucher_ended", lazy("This code has been withdrawn by those who issued it."))
    if terms.starts_on is not None and today < terms.starts_on:
        raise VoucherRefused(
            "voucher_not_yet", lazy("This code can be used from %(date)s on.", date=lazy_day(terms.starts_on))
        )
    if terms.ends_on is not None and today > terms.ends_on:
        raise VoucherRefused(
            "voucher_expired", lazy("This code could be used until %(date)s.", date=lazy_day(terms.ends_on))
        )


def _check_bounds(terms: Terms, buyer: Buyer, offer: Offer) -> None:
    if terms.person_ids and buyer.person_id not in terms.person_ids:
        raise VoucherRefused("voucher_not_for_you", lazy("This code was given to somebody else."))
    if terms.email_domains and buyer.email_domain not in terms.email_domains:
        raise VoucherRefused(
            "voucher_not_for_you", lazy("This code is for people with another e-mail address than yours.")
        )
    if not is_for_seat(terms, offer):
        raise VoucherRefused("voucher_not_for_run", lazy("This code is not for this run. It may be for other courses."))


def is_for_seat(terms: Terms, offer: Offer) -> bool:
    """Whether a code that is bound to runs, courses or providers is for this seat."""
    return (
        (not terms.run_ids or offer.run_id in terms.run_ids)
        and (not terms.course_ids or offer.course_id in terms.course_ids)
        and (not terms.provider_ids or bool(offer.provider_ids & terms.provider_ids))
    )


def _check_uses(terms: Terms, standing: Standing) -> None:
    if terms.use_cap is not None and standing.uses >= terms.use_cap:
        raise VoucherRefused("voucher_used_up", _used_up(terms.use_cap))
    if terms.person_cap is not None and standing.uses_by_person >= terms.person_cap:
        raise VoucherRefused("voucher_used_by_you", lazy("You have used this code as often as one person may."))


def _used_up(use_cap: int) -> LazyString:
    if use_cap == 1:
        return lazy("This code has been used already.")
    return lazy("This code has been used as often as it may be.")


def check(terms: Terms, *, uncapped_words: str = "") -> dict[str, str | LazyString]:
    """What is wrong with the terms of a new batch, by field: they must say what they pay, and where that ends."""
    wrong: dict[str, str | LazyString] = {}
    if terms.value_kind is ValueKind.AMOUNT and not (terms.amount or 0) > 0:
        wrong["amount"] = lazy("Enter the amount it pays.")
    if terms.value_kind is ValueKind.PERCENT and not 1 <= (terms.percent or 0) <= WHOLE:
        wrong["percent"] = lazy("Enter a percentage from 1 to 100.")
    if terms.use_cap is not None and terms.use_cap < 1:
        wrong["use_cap"] = lazy("A code can be used at least once.")
    if terms.money_cap is not None and terms.money_cap < 1:
        wrong["money_cap"] = lazy("Enter the most that one code may pay in all.")
    if terms.starts_on and terms.ends_on and terms.ends_on < terms.starts_on:
        wrong["ends_on"] = lazy("The last day comes before the first one.")
    if not terms.is_capped and not is_asked_for_in_words(uncapped_words):
        field = "use_cap" if terms.use_cap is None else "money_cap"
        wrong[field] = lazy("Enter a limit, or type the sentence below to say that you want none.")
    return wrong


def is_asked_for_in_words(typed: str) -> bool:
    """Whether somebody wrote out that they want a code without a limit."""
    plain = "".join(typed.split()).casefold().rstrip("。.")
    return plain in {"".join(sentence.split()).casefold() for sentence in UNCAPPED_SENTENCES}


def worst_case(terms: Terms, codes: int) -> Money | None:
    """The most that a batch of so many codes can cost, or None when nothing bounds it."""
    return None if terms.money_cap is None else Money(terms.money_cap * codes, terms.currency)


def with_money_cap(terms: Terms) -> int | None:
    """The money cap that follows from the other terms when none was given: an amount, so many times."""
    if terms.money_cap is None and terms.value_kind is ValueKind.AMOUNT and terms.amount and terms.use_cap:
        return terms.amount * terms.use_cap
    return terms.money_cap
