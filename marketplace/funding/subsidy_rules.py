"""Pure decisions about subsidies: who gets how much of what, what earns it, and who owes what when it ends.

Amounts are minor units of the programme's currency, days are days of the programme's zone. Facts, budgets and days come
in as arguments, so a decision of last year can be made again from what was kept with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from marketplace.foundation.money import Money
from marketplace.funding.subsidy_states import COMMITTED, UNPAID, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from marketplace.funding.facts import Buyer, Offer

WHOLE = 100
DAY = timedelta(days=1)
# GB/T 4754-2017: a section's letter stands for its divisions; a person's code begins with the division's number.
SECTIONS = {"R": ("86", "87", "88", "89", "90")}


class Consequence(StrEnum):
    """Who bears a subsidy that lapsed, was rejected or was taken back."""

    LEARNER_OWES = "learner_owes"
    BORNE = "borne"


class Verdict(StrEnum):
    """What is said of one condition, and of all together: the worst of them, in the order written here."""

    MET = "met"
    # Nobody is signed in: it is told as a condition.
    ASKED = "asked"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Named:
    """A thing of another room as a rule names it: its id, and what it was called when the rule was written."""

    id: int
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One version of a programme's rule. An empty choice asks for nothing; percent or fixed_minor says how much."""

    regions: tuple[str, ...] = ()
    districts: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    employer_sizes: tuple[str, ...] = ()
    experience_bands: tuple[str, ...] = ()
    first_time_only: bool = False
    organisations: tuple[Named, ...] = ()
    skills: tuple[Named, ...] = ()
    categories: tuple[Named, ...] = ()
    provider_kinds: tuple[str, ...] = ()
    providers: tuple[Named, ...] = ()
    modes: tuple[str, ...] = ()
    percent: int | None = None
    fixed_minor: int | None = None
    line_cap_minor: int | None = None
    person_year_cap_minor: int | None = None
    attendance_percent: int | None = None
    needs_completion: bool = True
    # Days after the run's last day in which the conditions must be met.
    earn_within_days: int = 30
    # Days after they were met in which staff must claim the money.
    claim_within_days: int = 90
    if_lapsed: Consequence = Consequence.LEARNER_OWES
    if_rejected: Consequence = Consequence.BORNE
    # The part of the subsidy the learner owes, where the learner owes it.
    owed_percent: int = WHOLE
    needs_review: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """In which currency and when a programme pays; both days of each pair are included, None leaves it open."""

    currency: str
    zone: str
    applications_from: date
    applications_until: date
    runs_from: date | None = None
    runs_until: date | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to give: in the programme's budget, and what the person has had of it, this year and in lines."""

    budget_minor: int
    had_this_year_minor: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """One condition with its verdict: what the rule wants, and what was found (None: nobody said)."""

    code: str
    verdict: Verdict
    wanted: tuple[str, ...] = ()
    found: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule says of a seat: `amount` is what it grants, or would grant if every condition were met."""

    verdict: Verdict
    amount: Money
    reasons: tuple[Reason, ...]

    @property
    def is_granted(self) -> bool:
        """Whether the amount may be taken off the price."""
        return self.verdict is Verdict.MET

    @property
    def missing(self) -> tuple[str, ...]:
        """The conditions that a fuller profile would decide; none where another one has failed already."""
        return tuple(one.code for one in self.reasons if one.verdict is self.verdict is Verdict.MISSING)


def decide(
    rule: Rule, frame: Frame, buyer: Buyer | None, offer: Offer, price: Money, *, left: Left, day: date
) -> Decision:
    """Weigh every condition of a rule for a seat at `price`, on a day of the programme's zone.

    Without a buyer the conditions about the person are ASKED. A budget that cannot cover the whole amount grants
    nothing: a subsidy is never a part of what the rule promises, except at the person's own yearly cap.
    """
    is_payable = price.currency == frame.currency
    amount = Money(granted_minor(rule, price.minor, left) if is_payable else 0, price.currency)
    reasons = (
        *_about_time(frame, offer, day),
        *_about_person(rule, buyer, left),
        *_about_offer(rule, offer),
        *_about_money(rule, price, left, amount, frame.currency),
    )
    order = list(Verdict)
    verdict = max((reason.verdict for reason in reasons), key=order.index, default=Verdict.MET)
    return Decision(verdict, amount, reasons)


def granted_minor(rule: Rule, price_minor: int, left: Left) -> int:
    """How much of a price the rule pays: rounded down to the unit, never above the price or a cap, never below 0."""
    full = price_minor * rule.percent // WHOLE if rule.percent is not None else rule.fixed_minor or 0
    caps = [price_minor, full]
    if rule.line_cap_minor is not None:
        caps.append(rule.line_cap_minor)
    if rule.person_year_cap_minor is not None:
        caps.append(rule.person_year_cap_minor - left.had_this_year_minor)
    return max(0, min(caps))


def is_open(frame: Frame, day: date) -> bool:
    """Whether one may apply on this day of the programme's zone."""
    return frame.applications_from <= day <= frame.applications_until


def _about_time(frame: Frame, offer: Offer, day: date) -> list[Reason]:
    wanted = (frame.applications_from.isoformat(), frame.applications_until.isoformat())
    found = [Reason("applications", _verdict(is_open(frame, day)), wanted, day.isoformat())]
    if frame.runs_from is not None or frame.runs_until is not None:
        starts = offer.starts_on
        is_within = (
            starts is not None
            and (frame.runs_from is None or frame.runs_from <= starts)
            and (frame.runs_until is None or starts <= frame.runs_until)
        )
        days = tuple("" if end is None else end.isoformat() for end in (frame.runs_from, frame.runs_until))
        said = None if starts is None else starts.isoformat()
        found.append(Reason("run_dates", _verdict(is_within), days, said))
    return found


def _about_person(rule: Rule, buyer: Buyer | None, left: Left) -> list[Reason]:
    asked = (
        ("region", rule.regions, buyer.region if buyer else None),
        ("district", rule.districts, buyer.district if buyer else None),
        ("industry", rule.industries, buyer.industry_code if buyer else None),
        ("employer_size", rule.employer_sizes, buyer.employer_size if buyer else None),
        ("experience", rule.experience_bands, buyer.experience_band if buyer else None),
    )
    found = [_fact(code, wanted, said, is_asked=buyer is None) for code, wanted, said in asked if wanted]
    if rule.first_time_only:
        # A first course that is ordered but not paid yet is a first course too.
        is_first = None if buyer is None else not buyer.has_enrolled_before and not left.lines
        found.append(Reason("first_time", _verdict(is_first)))
    if rule.organisations:
        ids = {named.id for named in rule.organisations}
        is_member = None if buyer is None else bool(ids & buyer.organisation_ids)
        found.append(Reason("organisation", _verdict(is_member), _ids(rule.organisations)))
    return found


def _fact(code: str, wanted: tuple[str, ...], said: str | None, *, is_asked: bool) -> Reason:
    if is_asked:
        return Reason(code, Verdict.ASKED, wanted)
    if not said:
        return Reason(code, Verdict.MISSING, wanted)
    fits = said.startswith(_prefixes(wanted)) if code == "industry" else said in wanted
    return Reason(code, Verdict.MET if fits else Verdict.FAILED, wanted, said)


def _prefixes(codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix for code in codes for prefix in SECTIONS.get(code, (code,)))


def _verdict(is_met: bool | None) -> Verdict:  # noqa: FBT001 - it is what is asked about
    return Verdict.ASKED if is_met is None else (Verdict.MET if is_met else Verdict.FAILED)


def _about_offer(rule: Rule, offer: Offer) -> list[Reason]:
    category = frozenset() if offer.category_id is None else frozenset({offer.category_id})
    found = [
        Reason(code, _verdict(bool({named.id for named in wanted} & had)), _ids(wanted))
        for code, wanted, had in (
            ("skill", rule.skills, offer.skill_ids),
            ("category", rule.categories, category),
            ("provider", rule.providers, offer.provider_ids),
        )
        if wanted
    ]
    if rule.provider_kinds:
        fits = bool(set(rule.provider_kinds) & offer.provider_kinds)
        found.append(Reason("provider_kind", _verdict(fits), rule.provider_kinds))
    if rule.modes:
        found.append(Reason("mode", _verdict(offer.mode in rule.modes), rule.modes, offer.mode))
    if rule.needs_completion and not offer.is_completable:
        found.append(Reason("completion", Verdict.FAILED))
    return found


def _about_money(rule: Rule, price: Money, left: Left, amount: Money, currency: str) -> list[Reason]:
    if price.currency != currency:
        return [Reason("currency", Verdict.FAILED, (currency,), price.currency)]
    found = []
    is_capped = rule.person_year_cap_minor is not None and left.had_this_year_minor >= rule.person_year_cap_minor
    if rule.person_year_cap_minor is not None:
        numbers = str(rule.person_year_cap_minor), str(left.had_this_year_minor)
        found.append(Reason("person_cap", _verdict(not is_capped), numbers[:1], numbers[1]))
    if amount.is_zero and not is_capped:
        # A free seat, or one so cheap that its part rounds down to nothing.
        return [*found, Reason("price", Verdict.FAILED)]
    # What is left is not told: a visitor could watch a funder's account by it.
    return [*found, Reason("budget", _verdict(amount.minor <= left.budget_minor))]


def _ids(named: Iterable[Named]) -> tuple[str, ...]:
    return tuple(str(one.id) for one in named)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a learner's part in a run; None where there is nothing yet."""

    is_over: bool
    attendance_percent: int
    completed_at: datetime | None = None


class Earning(StrEnum):
    """What the evidence says of a reserved subsidy."""

    EARNED = "earned"
    OPEN = "open"
    LAPSED = "lapsed"


def weigh(rule: Rule, evidence: Evidence, *, earn_by: datetime, now: datetime) -> Earning:
    """Whether the conditions are met; a completion after `earn_by` (exclusive) is too late, however soon it is seen."""
    is_attended = rule.attendance_percent is None or evidence.attendance_percent >= rule.attendance_percent
    is_completed = not rule.needs_completion or (evidence.completed_at is not None and evidence.completed_at < earn_by)
    if evidence.is_over and is_attended and is_completed:
        return Earning.EARNED
    return Earning.LAPSED if now >= earn_by else Earning.OPEN


def owed_minor(rule: Rule, state: State, to: State, amount_minor: int) -> int:
    """What the learner owes when a subsidy of this amount ends from `state`: rounded down, nothing where it is borne.

    A claim that staff failed to file in time is never the learner's: who earned a subsidy keeps it.
    """
    if to not in UNPAID or (to is State.LAPSED and state is State.EARNED):
        return 0
    consequence = rule.if_lapsed if to is State.LAPSED else rule.if_rejected
    return amount_minor * rule.owed_percent // WHOLE if consequence is Consequence.LEARNER_OWES else 0


def committed_minor(to: State, amount_minor: int, owed: int) -> int:
    """What of the amount counts as spent: also what lapsed or was rejected and is not owed; not what goes back."""
    if to in COMMITTED:
        return amount_minor
    return amount_minor - owed if to in {State.LAPSED, State.REJECTED} else 0


def end_of_day(day: date, zone: str) -> datetime:
    """The first moment after a day in a zone, in UTC: a deadline includes its whole local day."""
    return datetime.combine(day + DAY, time(), ZoneInfo(zone)).astimezone(UTC)


def last_day_before(moment: datetime, zone: str) -> date:
    """The last day of a deadline that is kept as the moment after it."""
    return day_of(moment - timedelta(microseconds=1), zone)


def day_of(moment: datetime, zone: str) -> date:
    """The day of a moment in a zone."""
    return moment.astimezone(ZoneInfo(zone)).date()


def earn_by(rule: Rule, offer: Offer, *, day: date, zone: str) -> datetime:
    """When the conditions must be met; a run without an end is counted from its start, or from today."""
    last = offer.ends_on or offer.starts_on or day
    return end_of_day(last + timedelta(days=rule.earn_within_days), zone)


def year_of(moment: datetime, zone: str) -> tuple[datetime, datetime]:
    """The calendar year of a moment in a zone, as two moments in UTC; the second is excluded."""
    year = moment.astimezone(ZoneInfo(zone)).year
    return end_of_day(date(year - 1, 12, 31), zone), end_of_day(date(year, 12, 31), zone)
