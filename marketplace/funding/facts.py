"""What vouchers and funding programmes decide from: the facts of a buyer and of what they buy.

This room stands beside the catalogue and cannot read it, so the room above hands it these facts. They are kept with
every decision: a refusal or a subsidy can be explained next year from what was known when it was made.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True)
class Buyer:
    """A person as rules see them; None is an answer they have not given, which no rule takes for a yes."""

    person_id: int
    email_domain: str
    organisation_ids: frozenset[int]
    region: str | None = None
    district: str | None = None
    industry_code: str | None = None
    occupation: str | None = None
    employer_size: str | None = None
    experience_band: str | None = None
    # Whether the person was ever enrolled before, in any run.
    has_enrolled_before: bool = False


@dataclass(frozen=True)
class Offer:
    """A seat in a run as rules see it; the dates are days in the run's own zone."""

    run_id: int
    course_id: int
    category_id: int | None
    provider_ids: frozenset[int]
    provider_kinds: frozenset[str]
    skill_ids: frozenset[int]
    starts_on: date | None
    ends_on: date | None
    mode: str
    # Whether the run says what completes it: else nobody can.
    is_completable: bool = True


@dataclass(frozen=True)
class Consent:
    """What a person agreed to before they pressed: the sentence they saw, its version and language, the facts named."""

    text_version: int
    locale: str
    text: str
    facts: tuple[str, ...]


def recorded(facts: Buyer | Offer) -> dict[str, Any]:
    """The facts as JSON keeps them: sets sorted, days as ISO 8601."""
    return {name: _plain(value) for name, value in asdict(facts).items()}


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    return value.isoformat() if isinstance(value, date | datetime) else value
