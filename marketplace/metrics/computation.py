"""Computes indicators by month × provider × category, as of a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import text

from marketplace.foundation.database import db
from marketplace.metrics.indicators import INDICATORS, PLACEMENTS, Indicator, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

Dimension = Literal["month", "provider", "category"]
DIMENSIONS: tuple[Dimension, ...] = ("month", "provider", "category")
# Figures are the city's: a month begins at midnight in Shanghai wherever a run takes place.
ZONE = "Asia/Shanghai"
Cell = tuple[object, ...]
TENTH = Decimal("0.1")


@dataclass(frozen=True)
class Scope:
    """What is counted: months `first` to `last` (their first days), one provider, one category or all, the cut-off."""

    first: date
    last: date
    as_of: datetime
    provider_id: int | None = None
    category_id: int | None = None


@dataclass(frozen=True)
class Figure:
    """A value with, for a rate, what it is a share of; None where there is nothing to divide by."""

    value: int
    of: int | None
    unit: Unit

    @property
    def number(self) -> Decimal | None:
        """As shown: yuan to the fen, per cent and hours to a tenth (halves go up), or a count. Never a float."""
        if self.unit is Unit.PERCENT:
            return (Decimal(100 * self.value) / self.of).quantize(TENTH, ROUND_HALF_UP) if self.of else None
        if self.unit is Unit.MONEY:
            return Decimal(self.value).scaleb(-2)
        if self.unit is Unit.HOURS:
            return (Decimal(self.value) / 60).quantize(TENTH, ROUND_HALF_UP)
        return Decimal(self.value)


def compute(indicator: Indicator, scope: Scope, by: Sequence[Dimension] = ()) -> dict[Cell, Figure]:
    """The figure of each cell of the dimensions, keyed by their values in order; without dimensions one cell, ().

    Months are dates, providers and categories row ids (None for courses without a category).
    """
    rows = db.session.execute(
        text(statement(indicator, by)),
        {
            "as_of": scope.as_of,
            "first": scope.first,
            "last": scope.last,
            "provider": scope.provider_id,
            "category": scope.category_id,
            "zone": ZONE,
        },
    )
    return {tuple(row[: len(by)]): _figure(indicator, row[len(by)], row[len(by) + 1]) for row in rows}


def _figure(indicator: Indicator, value: Any, of: Any) -> Figure:
    return Figure(int(value), None if of is None else int(of), indicator.unit)


def statement(indicator: Indicator, by: Sequence[Dimension]) -> str:
    """The SQL of a figure. Only texts of ours are put together; everything from outside is a parameter."""
    if not set(by) <= set(DIMENSIONS):
        raise ValueError(f"unknown dimension in {by}")
    columns = "".join(f"placed.{name}, " for name in by)
    grouping = f"GROUP BY {', '.join(f'placed.{name}' for name in by)}" if by else ""
    return f"""
        WITH fact AS ({indicator.facts}),
        placed AS (
            SELECT date_trunc('month', fact.at AT TIME ZONE :zone)::date AS month,
                   placement.lead_id AS provider, placement.category_id AS category,
                   fact.person_id, fact.part, fact.whole
              FROM fact
              JOIN course_run AS run ON run.id = fact.run_id
              LEFT JOIN ({PLACEMENTS}) AS placement ON placement.course_id = run.course_id
        )
        SELECT {columns}{indicator.value}, {indicator.of}
          FROM placed
         WHERE placed.month BETWEEN :first AND :last
           AND (CAST(:provider AS bigint) IS NULL OR placed.provider = :provider)
           AND (CAST(:category AS bigint) IS NULL OR placed.category = :category)
         {grouping}
    """  # noqa: S608 - our own texts


def compute_all(scope: Scope, by: Sequence[Dimension] = ()) -> dict[str, dict[Cell, Figure]]:
    """All six indicators by the same dimensions, by code."""
    return {indicator.code: compute(indicator, scope, by) for indicator in INDICATORS}


def table(scope: Scope, by: Sequence[Dimension]) -> tuple[list[Cell], dict[str, dict[Cell, Figure]]]:
    """Every cell that has any figure, in order, and the figures."""
    figures = compute_all(scope, by)
    cells = {cell for by_cell in figures.values() for cell in by_cell}
    return sorted(cells, key=lambda cell: tuple((part is None, part or 0) for part in cell)), figures
