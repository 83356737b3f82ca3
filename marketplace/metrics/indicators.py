"""The six indicators, each defined once: what it counts, in words and in SQL. Page, chart and file all read from here.

A definition gives facts (when, in which run, by whom, how much of what). `computation.compute` places them by month in
Shanghai, by leading provider and by category. Every definition takes `:as_of` and looks only at what had been recorded
by then, so a figure of last year can be computed again. A change of a definition is a new version.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from flask_babel import LazyString


class Unit(StrEnum):
    """How a figure is read."""

    COUNT = "count"
    MONEY = "money"
    PERCENT = "percent"
    HOURS = "hours"


@dataclass(frozen=True)
class Indicator:
    """A figure: `facts` yields (at, run_id, person_id, part, whole); `value` and `of` aggregate part and whole.

    A rate is value / of. Where `is_additive` is false, a total is computed anew and is not the sum of its cells.
    """

    code: str
    version: int
    name: LazyString
    definition: LazyString
    unit: Unit
    facts: str
    value: str
    of: str = "NULL::bigint"
    is_additive: bool = True


def _as_of(history: str, key: str, columns: str) -> str:
    """For each `key` the row of a history that was known at the cut-off; before its first row, the first one."""
    return f"""
        SELECT DISTINCT ON ({key}) {key}, {columns}
          FROM {history}
         ORDER BY {key}, (recorded_at <= :as_of) DESC, CASE WHEN recorded_at <= :as_of THEN -id ELSE id END
    """  # noqa: S608 - our own texts


PLACEMENTS = _as_of("course_placement", "course_id", "category_id, lead_id")
_RUNS = f"""
    SELECT run.id, coalesce(known.ends_at, run.ends_at) AS ends_at
      FROM course_run AS run
      LEFT JOIN ({_as_of("run_dates", "run_id", "ends_at")}) AS known ON known.run_id = run.id
"""  # noqa: S608 - our own texts
_SESSIONS = f"""
    SELECT session.id, session.run_id, coalesce(known.starts_at, session.starts_at) AS starts_at,
           coalesce(known.ends_at, session.ends_at) AS ends_at
      FROM run_session AS session
      LEFT JOIN ({_as_of("session_dates", "session_id", "starts_at, ends_at")}) AS known
        ON known.session_id = session.id
"""  # noqa: S608 - our own texts
# Enrolments that count at the cut-off: recorded by then, and not given up or refunded by then.
_ENROLMENTS = """
    SELECT enrolment.id, enrolment.enrolled_at, enrolment.run_id, enrolment.person_id
      FROM enrolment
     WHERE enrolment.recorded_at <= :as_of AND (enrolment.ended_at IS NULL OR enrolment.ended_at > :as_of)
"""
_BEGUN = f"""
    SELECT begun.enrolled_at AS at, begun.run_id, begun.person_id, 1 AS part, NULL::bigint AS whole
      FROM ({_ENROLMENTS}) AS begun
"""  # noqa: S608 - our own text
# The latest mark of each person in each session, as recorded by the cut-off; an excused one counts for nothing.
_MARKS = """
    SELECT DISTINCT ON (attendance.enrolment_id, attendance.session_id)
           attendance.enrolment_id, attendance.session_id, attendance.status
      FROM attendance
     WHERE attendance.recorded_at <= :as_of
     ORDER BY attendance.enrolment_id, attendance.session_id, attendance.recorded_at DESC, attendance.id DESC
"""

ENROLMENTS = Indicator(
    code="enrolments",
    version=2,
    name=lazy("Enrolments"),
    definition=lazy(
        "Places in runs taken in the month, without those given up or refunded by the cut-off. One person in two runs "
        "counts twice."
    ),
    unit=Unit.COUNT,
    facts=_BEGUN,
    value="count(*)",
)
PEOPLE = Indicator(
    code="people",
    version=2,
    name=lazy("Persons"),
    definition=lazy(
        "Different people with such an enrolment. Totals count each person once, so they are less than the sum of "
        "their parts."
    ),
    unit=Unit.COUNT,
    facts=_BEGUN,
    value="count(DISTINCT person_id)",
    is_additive=False,
)
PAID_REVENUE = Indicator(
    code="paid_revenue",
    version=2,
    name=lazy("Paid revenue"),
    definition=lazy(
        "Money received for places in the month less money given back in the month, in yuan, from the ledger."
    ),
    unit=Unit.MONEY,
    # What is earned when a run is over leaves the account too, but nobody was paid or given anything then.
    facts="""
        SELECT posted.occurred_at AS at, line.run_id, bought.person_id, -entry.amount_minor AS part,
               NULL::bigint AS whole
          FROM ledger_entry AS entry
          JOIN ledger_transaction AS posted ON posted.id = entry.transaction_id
          JOIN "order" AS bought ON bought.id = posted.order_id
          JOIN order_line AS line ON line.order_id = bought.id
         WHERE entry.account = 'unearned_revenue' AND entry.currency = 'CNY' AND posted.recorded_at <= :as_of
           AND posted.kind <> 'earned'
    """,
    value="coalesce(sum(part), 0)",
)
ATTENDANCE_RATE = Indicator(
    code="attendance_rate",
    version=2,
    name=lazy("Attendance rate"),
    definition=lazy(
        "Of the places marked present or absent in sessions of the month, the share marked present. Excused ones count "
        "for nothing; the latest mark by the cut-off counts."
    ),
    unit=Unit.PERCENT,
    facts=f"""
        SELECT session.starts_at AS at, session.run_id, enrolment.person_id,
               (mark.status = 'present')::int AS part, 1 AS whole
          FROM ({_MARKS}) AS mark
          JOIN ({_SESSIONS}) AS session ON session.id = mark.session_id
          JOIN enrolment ON enrolment.id = mark.enrolment_id
         WHERE mark.status <> 'excused'
    """,  # noqa: S608 - our own text
    value="coalesce(sum(part), 0)",
    of="coalesce(sum(whole), 0)",
)
COMPLETION_RATE = Indicator(
    code="completion_rate",
    version=2,
    name=lazy("Completion rate"),
    definition=lazy(
        "Of the enrolments in runs that ended in the month, without those given up by the cut-off, the share whose "
        "completion was recorded by the cut-off."
    ),
    unit=Unit.PERCENT,
    facts=f"""
        SELECT run.ends_at AS at, run.id AS run_id, counted.person_id,
               (completion.id IS NOT NULL)::int AS part, 1 AS whole
          FROM ({_ENROLMENTS}) AS counted
          JOIN ({_RUNS}) AS run ON run.id = counted.run_id
          LEFT JOIN completion ON completion.enrolment_id = counted.id AND completion.recorded_at <= :as_of
         WHERE run.ends_at <= :as_of
    """,  # noqa: S608 - our own text
    value="coalesce(sum(part), 0)",
    of="coalesce(sum(whole), 0)",
)
TRAINING_HOURS = Indicator(
    code="training_hours",
    version=2,
    name=lazy("Training hours"),
    definition=lazy(
        "Hours of sessions in the month, for each person marked present in them by the latest mark at the cut-off."
    ),
    unit=Unit.HOURS,
    # Minutes, so that sums stay whole numbers.
    facts=f"""
        SELECT session.starts_at AS at, session.run_id, enrolment.person_id,
               (extract(epoch FROM session.ends_at - session.starts_at) / 60)::bigint AS part, NULL::bigint AS whole
          FROM ({_MARKS}) AS mark
          JOIN ({_SESSIONS}) AS session ON session.id = mark.session_id
          JOIN enrolment ON enrolment.id = mark.enrolment_id
         WHERE mark.status = 'present'
    """,  # noqa: S608 - our own text
    value="coalesce(sum(part), 0)",
)
INDICATORS = (ENROLMENTS, PEOPLE, PAID_REVENUE, ATTENDANCE_RATE, COMPLETION_RATE, TRAINING_HOURS)
