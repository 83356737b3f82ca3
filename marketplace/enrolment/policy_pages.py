"""Terms of cancellation as a learner reads them: a table of moments, or of days where no start is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from marketplace.enrolment import policies
from marketplace.enrolment.refund_rules import WHOLE, deadline_of, kept_of
from marketplace.foundation.formats import format_percent
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import ngettext
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.catalog.models import CourseRun
    from marketplace.enrolment.refund_rules import Terms, Tier


@dataclass(frozen=True)
class TermsLine:
    """One line of the terms: until when how much is kept, what goes back of a price, and whether it is the one of now.

    `days_before` is None for the last line, which holds from then on. `last_day` is the local day that still counts:
    None where no start is known, and for what holds until the start itself.
    """

    days_before: int | None
    last_day: date | None
    kept_percent: int
    back: Money | None = None
    is_now: bool = False


def lines_of(
    terms: Terms, run: CourseRun | None = None, *, price: Money | None = None, now: datetime | None = None
) -> list[TermsLine]:
    """The terms as a table: with moments where the run's start is known, and the line that holds at `now` marked."""
    lines: list[TermsLine] = []
    for tier in terms.tiers:
        until = _until(tier, run)
        is_now = until is not None and now is not None and now < until and not any(line.is_now for line in lines)
        day = _last_day(tier, run)
        lines.append(TermsLine(tier.days_before, day, tier.kept_percent, _back(price, tier.kept_percent), is_now))
    is_last = now is not None and not any(line.is_now for line in lines)
    return [*lines, TermsLine(None, None, WHOLE, _back(price, WHOLE), is_last)]


def _until(tier: Tier, run: CourseRun | None) -> datetime | None:
    if run is None or run.starts_at is None:
        return None
    return deadline_of(tier, starts_at=run.starts_at, zone=run.zone)


def _last_day(tier: Tier, run: CourseRun | None) -> date | None:
    if run is None or run.starts_at is None or tier.days_before == 0:
        return None
    return run.starts_at.astimezone(run.tzinfo).date() - timedelta(days=tier.days_before)


def _back(price: Money | None, kept_percent: int) -> Money | None:
    return None if price is None else price - Money(kept_of(price.minor, kept_percent), price.currency)


def for_sale(run: CourseRun) -> tuple[Terms, list[TermsLine]]:
    """What whoever buys a seat of the run now agrees to."""
    terms = policies.terms_for_sale(run)
    return terms, lines_of(terms, run)


def in_words(terms: Terms) -> str:
    """A version in one line, for the list of versions."""
    parts = [
        _(
            "%(percent)s deducted until %(days)s",
            percent=format_percent(tier.kept_percent / WHOLE),
            days=days_before(tier.days_before),
        )
        for tier in terms.tiers
    ]
    return " · ".join(parts) or _("The whole price is kept at any time.")


def days_before(days: int) -> str:
    """So many days before the start, in words."""
    if days == 0:
        return _("the start")
    return ngettext("%(num)s day before the start", "%(num)s days before the start", days)
