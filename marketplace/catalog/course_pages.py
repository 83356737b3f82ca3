"""A course as its own page shows it, read in one statement: its texts, providers, skills, runs and their sessions.

The names are those of the models, so that previews for providers and reviewers share the page's templates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from marketplace.catalog.models import PairedTexts, last_whole_day
from marketplace.catalog.pricing import RULES, rules_from
from marketplace.catalog.shelves import Shelf, SkillName, find_shelf
from marketplace.foundation.database import read_marked, read_rows
from marketplace.foundation.errors import Gone, NotFound
from marketplace.foundation.i18n import lazy
from marketplace.foundation.models import ShownPicture
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.catalog.pricing_rules import Rule

# Runs that are over are history; drafts are nobody's business yet.
# `enrolment` is for the mark alone: whether it has begun and ended turns with time.
PAGE = f"""
    SELECT id, public_id, title_zh, title_en, summary_zh, summary_en, description_zh, description_en,
           outcomes_zh, outcomes_en, syllabus_zh, syllabus_en, translation_state, original_language, level, category_id,
           (SELECT json_build_array(renditions, alt_zh, alt_en) FROM picture WHERE picture.id = picture_id) AS picture,
           (SELECT json_agg(json_build_array(role, duties_zh, duties_en, organisation.public_id, kind, name_zh, name_en)
                            ORDER BY position)
              FROM course_provider JOIN organisation ON organisation.id = organisation_id
             WHERE course_id = course.id) AS providers,
           (SELECT json_agg(json_build_array(skill_id, label_zh, label_en, free_text, state) ORDER BY course_skill.id)
              FROM course_skill LEFT JOIN skill ON skill.id = skill_id
             WHERE course_id = course.id) AS skills,
           (SELECT json_agg(json_build_object(
                       'id', id, 'public_id', public_id, 'state', state, 'starts_at', starts_at, 'ends_at', ends_at,
                       'zone', zone, 'enrol_opens_at', enrol_opens_at, 'enrol_closes_at', enrol_closes_at,
                       'mode', mode, 'place_zh', place_zh, 'place_en', place_en, 'language', language,
                       'capacity', capacity, 'seats_taken', seats_taken, 'seats_kept', seats_kept,
                       'price_minor', price_minor,
                       'currency', currency, 'is_subsidised', is_subsidised, 'rules', {RULES},
                       'is_completable', completion_attendance_percent IS NOT NULL OR completion_needs_pass,
                       'sessions', (SELECT json_agg(json_build_array(starts_at, ends_at, title_zh, title_en)
                                                    ORDER BY position)
                                      FROM run_session WHERE run_id = run.id),
                       'enrolment', json_build_array(enrol_opens_at <= :now, enrol_closes_at <= :now))
                       ORDER BY starts_at)
              FROM course_run AS run
             WHERE course_id = course.id AND state <> 'draft' AND ends_at > :now) AS runs
      FROM course WHERE public_id = :public_id AND state = 'published'
"""  # noqa: S608 - statements are put together from words of our own; values go by their places


@dataclass(frozen=True, slots=True)
class OrganisationOnPage:
    """A provider's name and address."""

    public_id: str
    kind: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class ProviderOnPage:
    """Who provides the course, as the lead or together with it."""

    role: str
    duties_zh: str
    duties_en: str
    organisation: OrganisationOnPage


@dataclass(frozen=True, slots=True)
class SkillOnPage:
    """A skill of a framework, or one in the provider's own words."""

    skill_id: int | None
    skill: SkillName | None
    free_text: str | None
    state: str


@dataclass(frozen=True, slots=True)
class SessionOnPage:
    """One meeting."""

    starts_at: datetime
    ends_at: datetime
    title_zh: str
    title_en: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run with its seats and price as they are now."""

    id: int
    public_id: str
    state: str
    starts_at: datetime
    ends_at: datetime
    zone: str
    enrol_opens_at: datetime | None
    enrol_closes_at: datetime | None
    mode: str
    place_zh: str
    place_en: str
    language: str
    capacity: int
    seats_taken: int
    seats_kept: int
    price: Money
    is_subsidised: bool
    # Whether it says what completes it.
    is_completable: bool
    rules: Sequence[Rule]
    sessions: tuple[SessionOnPage, ...]

    @property
    def is_free(self) -> bool:
        """Whether a seat costs nothing."""
        return self.price.is_zero

    @property
    def tzinfo(self) -> ZoneInfo:
        """The zone its times are told in."""
        return ZoneInfo(self.zone)

    @property
    def last_enrolment_day(self) -> date | None:
        """The local day whose end is the deadline of enrolment; None when the deadline lies within a day."""
        return last_whole_day(self.enrol_closes_at, self.tzinfo)

    def seats_left(self, expired_holds: int = 0) -> int:
        """Public seats one can take now, as CourseRun.seats_left counts them."""
        return max(0, self.capacity - self.seats_taken - self.seats_kept + expired_holds)


@dataclass(frozen=True)
class CourseOnPage(PairedTexts):
    """A published course."""

    public_id: str
    title_zh: str
    title_en: str
    summary_zh: str
    summary_en: str
    description_zh: str
    description_en: str
    outcomes_zh: list[str]
    outcomes_en: list[str]
    syllabus_zh: list[str]
    syllabus_en: list[str]
    translation_state: dict[str, Any]
    original_language: str
    level: str
    category: Shelf | None
    picture: ShownPicture | None
    providers: tuple[ProviderOnPage, ...]
    skills: tuple[SkillOnPage, ...]
    runs: tuple[RunFacts, ...]


TEXTS = (
    *(
        f"{name}_{lang}"
        for name in ("title", "summary", "description", "outcomes", "syllabus")
        for lang in ("zh", "en")
    ),
    *("public_id", "translation_state", "original_language", "level"),
)


def get(public_id: str, *, now: datetime, known: int | None = None) -> tuple[int, CourseOnPage | None]:
    """A mark of all that the page of a published course tells, and the page; None when the mark is the one `known`.

    One query. Raises Gone for a withdrawn course, else NotFound.
    """
    mark, rows = read_marked(PAGE, {"public_id": public_id, "now": now}, known=known)
    if mark is None:
        raise _missing(public_id)
    return mark, _course(rows[0]) if rows else None


def _course(row: Any) -> CourseOnPage:
    return CourseOnPage(
        **{name: getattr(row, name) for name in TEXTS},
        category=find_shelf(row.category_id),
        picture=ShownPicture(*row.picture) if row.picture else None,
        providers=tuple(
            ProviderOnPage(role, duties_zh, duties_en, OrganisationOnPage(*organisation))
            for role, duties_zh, duties_en, *organisation in row.providers or ()
        ),
        skills=tuple(
            SkillOnPage(skill_id, SkillName(skill_id, zh or "", en) if skill_id else None, free_text, state)
            for skill_id, zh, en, free_text, state in row.skills or ()
        ),
        runs=tuple(_run(facts) for facts in row.runs or ()),
    )


def _run(facts: dict[str, Any]) -> RunFacts:
    """Read what JSON made of a run: moments are texts in it."""
    sessions = tuple(
        SessionOnPage(datetime.fromisoformat(starts), datetime.fromisoformat(ends), title_zh, title_en)
        for starts, ends, title_zh, title_en in facts.pop("sessions") or ()
    )
    for name in ("starts_at", "ends_at", "enrol_opens_at", "enrol_closes_at"):
        facts[name] = datetime.fromisoformat(facts[name]) if facts[name] else None
    del facts["enrolment"]
    price, rules = Money(facts.pop("price_minor"), facts.pop("currency")), rules_from(facts.pop("rules"))
    return RunFacts(**facts, price=price, rules=rules, sessions=sessions)


def _missing(public_id: str) -> NotFound:
    """A course that was in the catalogue is told apart from one that never was."""
    withdrawn = "SELECT 1 FROM course WHERE public_id = :public_id AND state = 'withdrawn'"
    if read_rows(withdrawn, {"public_id": public_id}):
        return Gone(
            "course_withdrawn", lazy("This course is not offered any more. If you took it, it stays in My learning.")
        )
    return NotFound()
