"""Pure decisions about money that goes back: until when how much, and to whom. Days are the run's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WHOLE = 100
# Money for which no place was ever given: the payment is owed back as it came, and was never revenue.
# The last but one is one that somebody else gave back: in Stripe's dashboard, or a bank that decided a dispute.
NEVER_SOLD = frozenset({"seat_gone", "paid_twice", "claim_gone", "never_sold", "debt_gone"})
# Of these: it was paid for a debt that was not owed, or is no more.
DEBT_GONE = "debt_gone"
# What a learner paid beside the price, for a subsidy they owed, and that went back from outside: it is owed again.
DEBT_RETURNED = "debt_returned"
BESIDE_THE_PRICE = NEVER_SOLD | {DEBT_RETURNED}


class Payer(StrEnum):
    """Who pays a part of a price; the order is the one of the money waterfall."""

    LEARNER = "learner"
    FUNDER = "funder"
    VOUCHER = "voucher"


# The longest term of ck_refund_policy_withdrawal_days; local days end within two days of any moment in them.
LONGEST_WITHDRAWAL = timedelta(days=14 + 2)


@dataclass(frozen=True)
class Tier:
    """Until the end of the local day `days_before` days before the start, `kept_percent` of the price is kept."""

    days_before: int
    kept_percent: int


@dataclass(frozen=True)
class Terms:
    """What was agreed at the sale: tiers from the earliest deadline on, and the days of the right to withdraw."""

    version: int
    tiers: tuple[Tier, ...]
    withdrawal_days: int
    # Moving to another run is possible until the end of this day before the start.
    deferral_days: int


class Ground(StrEnum):
    """Why money goes back, and so how much."""

    WITHDRAWAL = "withdrawal"
    POLICY = "policy"
    PROVIDER = "provider"


@dataclass(frozen=True)
class Verdict:
    """How much of the price is kept now, on which ground, and until when this stays so (half-open)."""

    ground: Ground
    kept_percent: int
    until: datetime


@dataclass(frozen=True)
class Part:
    """What one payer paid by one payment, and what of it went back before. Oldest payments come first in a list."""

    payer: Payer
    # The attempt's public id for a learner's money; the order's for the others'.
    reference: str
    order_id: int
    paid: int
    returned: int = 0
    line_id: int = 0

    @property
    def left(self) -> int:
        """What can still go back."""
        return max(0, self.paid - self.returned)


@dataclass(frozen=True)
class Share:
    """What goes back of one part."""

    part: Part
    minor: int
    # Of a funder's part: it comes off a promise that goes on, where the place stays.
    lowers: bool = False


def end_of_local_day(day: date, zone: str) -> datetime:
    """The moment after the last one of a local day, in UTC: deadlines are half-open, and a day may last 23 or 25 hours.

    Where a zone skips its midnight, the day begins at the moment the clock is put forward.
    """
    return datetime.combine(day + timedelta(days=1), time.min, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def days_before(starts_at: datetime, zone: str, days: int) -> datetime:
    """The end of the local day that lies so many days before the local day of the start."""
    return end_of_local_day(starts_at.astimezone(ZoneInfo(zone)).date() - timedelta(days=days), zone)


def deadline_of(tier: Tier, *, starts_at: datetime, zone: str) -> datetime:
    """Until when a tier holds; never beyond the start itself."""
    return min(days_before(starts_at, zone, tier.days_before), starts_at)


def withdrawal_until(terms: Terms, *, confirmed_at: datetime, starts_at: datetime, zone: str) -> datetime | None:
    """Until when a buyer may withdraw without a reason; None where no such right was given.

    The term counts whole local days after the day of the sale. It ends when the course starts: whoever buys a course
    that starts inside the term has waived the rest of it explicitly (`needs_waiver`).
    """
    if terms.withdrawal_days == 0:
        return None
    day = confirmed_at.astimezone(ZoneInfo(zone)).date() + timedelta(days=terms.withdrawal_days)
    return min(end_of_local_day(day, zone), starts_at)


def may_need_waiver(*, starts_at: datetime | None, now: datetime) -> bool:
    """Whether any terms would ask for a waiver: a run that starts later than the longest term needs none."""
    return starts_at is not None and now < starts_at <= now + LONGEST_WITHDRAWAL


def needs_waiver(terms: Terms, *, starts_at: datetime, zone: str, now: datetime) -> bool:
    """Whether a course bought now would start before the right to withdraw has run out."""
    if terms.withdrawal_days == 0:
        return False
    return starts_at < end_of_local_day(now.astimezone(ZoneInfo(zone)).date() + timedelta(terms.withdrawal_days), zone)


def decide(terms: Terms, *, starts_at: datetime, zone: str, confirmed_at: datetime, now: datetime) -> Verdict:
    """What cancelling now costs; raises Refused once the run has started. The right to withdraw goes before the tiers.

    After the last tier's deadline the whole price is kept, but the place may still be given up.
    """
    if now >= starts_at:
        raise Refused("run_started", lazy("The run has started, so the place cannot be cancelled here any more."))
    until = withdrawal_until(terms, confirmed_at=confirmed_at, starts_at=starts_at, zone=zone)
    if until is not None and now < until:
        return Verdict(Ground.WITHDRAWAL, 0, until)
    for tier in terms.tiers:
        deadline = deadline_of(tier, starts_at=starts_at, zone=zone)
        if now < deadline:
            return Verdict(Ground.POLICY, tier.kept_percent, deadline)
    return Verdict(Ground.POLICY, WHOLE, starts_at)


def checked_tiers(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """The tiers from the earliest deadline on; raises Invalid unless later ones keep more."""
    ordered = tuple(sorted(tiers, key=lambda tier: -tier.days_before))
    days = [tier.days_before for tier in ordered]
    kept = [tier.kept_percent for tier in ordered]
    if len(set(days)) != len(days) or kept != sorted(kept):
        raise Invalid("policy_tiers", lazy("Each later deadline must keep at least as much as the one before it."))
    if any(day < 0 for day in days) or any(not 0 <= percent <= WHOLE for percent in kept):
        raise Invalid("policy_tiers", lazy("Days are 0 or more, and between 0 and 100 per cent are kept."))
    return ordered


def kept_of(price: int, percent: int) -> int:
    """The part of a price that is kept; a fraction of a unit is the payer's."""
    return price * percent // WHOLE


def of_buyer(parts: Sequence[Part]) -> list[Part]:
    """What the buyer and their voucher paid, among whom an amount is divided; a funder's part follows theirs.

    When the place ends the funder's promise is let go whole (`let_go`); while it stays, a share comes off it
    (`off_subsidies`).
    """
    return [part for part in parts if part.payer is not Payer.FUNDER]


def off_subsidies(parts: Sequence[Part], payable: Mapping[int, int], amount: int) -> list[Share]:
    """What comes off the funders' parts when so much goes back to the buyer and the place stays: as great a share.

    `payable` is what a programme promises or pays of each line by now. Rounded down, in the funder's disfavour by less
    than a unit. What came off for a refund that failed does not come off again when the money is given back anew.
    """
    buyer = of_buyer(parts)
    paid, left = sum(part.paid for part in buyer), left_of(buyer)
    gone = sum(part.returned for part in buyer) + amount
    found = []
    for part in parts:
        if part.payer is Payer.FUNDER and left:
            of_this = min(part.left, payable.get(part.line_id, 0)) * amount // left
            minor = min(of_this, part.paid * gone // paid - part.returned)
            if minor > 0:
                found.append(Share(part, minor, lowers=True))
    return found


def off_moved(parts: Sequence[Part], kept: Mapping[int, int]) -> list[Share]:
    """What comes off the funders' parts when a place moves and so much of each line's goes along: the rest, or all."""
    found = []
    for part in parts:
        off = part.left - kept.get(part.line_id, 0)
        if part.payer is Payer.FUNDER and off > 0:
            found.append(Share(part, off, lowers=part.line_id in kept))
    return found


def by_payer(shares: Sequence[Share]) -> dict[Payer, int]:
    """The sum of each payer's shares, in the order of the waterfall; those who get nothing are not here."""
    sums = {payer: sum(share.minor for share in shares if share.part.payer is payer) for payer in Payer}
    return {payer: minor for payer, minor in sums.items() if minor}


def share_when_ended(parts: Sequence[Part], kept_percent: int) -> list[Share]:
    """What goes back when a place ends and so much of what was paid is kept; the funder's promise is let go whole."""
    paid = of_buyer(parts)
    return split_refund(paid, to_return(paid, kept_percent)) + let_go(parts)


def let_go(parts: Sequence[Part]) -> list[Share]:
    """The funders' promises, whole: they end with the place that they were made for."""
    return [Share(part, part.left) for part in parts if part.payer is Payer.FUNDER and part.left]


def to_return(parts: Sequence[Part], kept_percent: int) -> int:
    """What goes back when so much of all that was paid is kept; what went back before is not given twice."""
    paid, returned = sum(part.paid for part in parts), sum(part.returned for part in parts)
    return max(0, paid - kept_of(paid, kept_percent) - returned)


def left_of(parts: Sequence[Part]) -> int:
    """What has not gone back yet, of all payers."""
    return sum(part.left for part in parts)


def split_refund(parts: Sequence[Part], amount: int) -> list[Share]:
    """Divide an amount among the payers by what each has left, and within a payer among the payments.

    The shares sum to the amount exactly and none exceeds what is left of its part, however often it is called with the
    earlier shares counted as returned. Within a payer the newest payment goes first: old ones are harder to refund.
    Raises Invalid for more than is left, or less than nothing.
    """
    if not 0 <= amount <= left_of(parts):
        raise Invalid("refund_amount", lazy("Enter an amount between one cent and what has not been given back yet."))
    if amount == 0:
        return []
    payers = [payer for payer in Payer if sum(part.left for part in parts if part.payer is payer)]
    weights = [sum(part.left for part in parts if part.payer is payer) for payer in payers]
    # The currency plays no part in whole units; any will do.
    by_payer = Money(amount, "CNY").allocate(weights)
    shares: list[Share] = []
    for payer, due in zip(payers, by_payer, strict=True):
        shares += _from_newest([part for part in parts if part.payer is payer], due.minor)
    return shares


def _from_newest(parts: Sequence[Part], amount: int) -> list[Share]:
    shares = []
    for part in reversed(parts):
        minor = min(part.left, amount)
        amount -= minor
        if minor:
            shares.append(Share(part, minor))
    return shares
