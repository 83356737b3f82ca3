"""What the page and the file of figures show: the wish in an address, names of cells, the chart, the CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from babel.dates import format_date
from sqlalchemy import select

from marketplace.accounts.models import PROVIDER_KINDS, Organisation
from marketplace.catalog.models import Category
from marketplace.foundation.database import db
from marketplace.foundation.formats import babel_locale
from marketplace.foundation.i18n import gettext as _
from marketplace.foundation.i18n import language, pick
from marketplace.foundation.spreadsheets import BYTE_ORDER_MARK, harmless
from marketplace.metrics.computation import DIMENSIONS, ZONE, Cell, Dimension, Figure, Scope
from marketplace.metrics.indicators import INDICATORS, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Found = dict[str, dict[Cell, Figure]]
SHANGHAI = ZoneInfo(ZONE)
# Figures of other years there are none, and nothing can be counted back from the first one.
YEARS = range(2000, 2200)


@dataclass(frozen=True)
class Wish:
    """What the page was asked for; `arguments` asks for it again."""

    scope: Scope
    by: Dimension
    as_of_day: date
    provider: str
    category: str

    @property
    def arguments(self) -> dict[str, str]:
        """As an address writes it."""
        return {
            "first": f"{self.scope.first:%Y-%m}",
            "last": f"{self.scope.last:%Y-%m}",
            "by": self.by,
            "as_of": self.as_of_day.isoformat(),
            "provider": self.provider,
            "category": self.category,
        }


def read_wish(arguments: Mapping[str, str], *, now: datetime) -> Wish:
    """Read an address; what cannot be understood is the default: the last twelve months, by month, as of now.

    A cut-off day includes its whole day in Shanghai.
    """
    today = now.astimezone(SHANGHAI).date()
    last = _month(arguments.get("last", "")) or today.replace(day=1)
    first = _month(arguments.get("first", "")) or _months_before(last, 11)
    day = _day(arguments.get("as_of", "")) or today
    end_of_day = datetime.combine(day + timedelta(days=1), time(), SHANGHAI).astimezone(UTC)
    by = arguments.get("by", "month")
    provider, category = arguments.get("provider", ""), arguments.get("category", "")
    scope = Scope(
        first=min(first, last),
        last=last,
        as_of=min(end_of_day, now) if day >= today else end_of_day,
        provider_id=_id_of(Organisation.public_id, Organisation.id, provider),
        category_id=_id_of(Category.code, Category.id, category),
    )
    chosen: Dimension = "month"
    for dimension in DIMENSIONS:
        chosen = dimension if dimension == by else chosen
    return Wish(scope=scope, by=chosen, as_of_day=day, provider=provider, category=category)


def _month(written: str) -> date | None:
    return _day(f"{written}-01")


def _day(written: str) -> date | None:
    try:
        found = date.fromisoformat(written)
    except ValueError:
        return None
    return found if found.year in YEARS else None


def _months_before(month: date, number: int) -> date:
    index = month.year * 12 + month.month - 1 - number
    return date(index // 12, index % 12 + 1, 1)


def _id_of(column: Any, wanted: Any, value: str) -> int | None:
    if not value:
        return None
    # An unknown one finds nothing rather than everything.
    return int(db.session.scalar(select(wanted).where(column == value)) or 0)


def list_providers() -> list[Organisation]:
    """The providers one can choose."""
    query = select(Organisation).where(Organisation.kind.in_(PROVIDER_KINDS)).order_by(Organisation.name_en)
    return list(db.session.scalars(query))


def list_categories() -> list[Category]:
    """The categories one can choose."""
    return list(db.session.scalars(select(Category).order_by(Category.position)))


def names_of(by: Dimension, cells: Sequence[Cell]) -> dict[object, str]:
    """What the values of a dimension are called."""
    values = {cell[0] for cell in cells}
    if by == "month":
        pattern = "y年M月" if language() == "zh" else "MMM y"
        return {month: format_date(cast("date", month), pattern, locale=babel_locale()) for month in values}
    model: Any = Organisation if by == "provider" else Category
    rows = db.session.scalars(select(model).where(model.id.in_([value for value in values if value is not None])))
    names: dict[object, str] = {row.id: str(pick(row, "name")) for row in rows}
    return names | {None: _("No category")}


def chart(cells: Sequence[Cell], found: Found, names: Mapping[object, str]) -> dict[str, Any]:
    """What js/charts.js draws: labels, and for each indicator its name, unit and numbers."""
    return {
        "labels": [names[cell[0]] for cell in cells],
        "series": [
            {
                "code": indicator.code,
                "name": str(indicator.name),
                "unit": unit_names()[indicator.unit],
                "numbers": [_height(_number(found[indicator.code].get(cell))) for cell in cells],
            }
            for indicator in INDICATORS
        ],
    }


def _number(figure: Figure | None) -> Decimal | None:
    return None if figure is None else figure.number


def _height(number: Decimal | None) -> float | None:
    """The height of a bar; only pictures are drawn with floats."""
    return None if number is None else float(number)


def unit_names() -> dict[Unit, str]:
    """The units in words."""
    return {Unit.COUNT: "", Unit.MONEY: _("yuan"), Unit.PERCENT: "%", Unit.HOURS: _("hours")}


def write_csv(wish: Wish, cells: Sequence[Cell], found: Found) -> str:
    """One line per month, provider and category; above them what they are and as of when: the file explains itself.

    Rates come with what they are a share of, so that they can be added up rightly.
    """
    output = io.StringIO()
    output.write(BYTE_ORDER_MARK)
    writer = csv.writer(output)
    writer.writerow([_("As of"), wish.scope.as_of.astimezone(SHANGHAI).isoformat(timespec="seconds")])
    for indicator in INDICATORS:
        writer.writerow([f"{indicator.name} v{indicator.version}", str(indicator.definition)])
    writer.writerow([])
    writer.writerow([_("Month"), _("Provider"), _("Category"), *_columns()])
    providers = names_of("provider", [(cell[1],) for cell in cells])
    categories = names_of("category", [(cell[2],) for cell in cells])
    for cell in cells:
        month = cast("date", cell[0])
        start = [f"{month:%Y-%m}", providers[cell[1]], categories[cell[2]]]
        writer.writerow([harmless(part) for part in start] + _values(cell, found))
    return output.getvalue()


def _columns() -> list[str]:
    columns = []
    for indicator in INDICATORS:
        unit = unit_names()[indicator.unit]
        columns.append(f"{indicator.name} ({unit})" if unit else str(indicator.name))
        if indicator.unit is Unit.PERCENT:
            columns += [_("%(name)s: part", name=indicator.name), _("%(name)s: whole", name=indicator.name)]
    return columns


def _values(cell: Cell, found: Found) -> list[object]:
    values: list[object] = []
    for indicator in INDICATORS:
        figure = found[indicator.code].get(cell)
        number = _number(figure)
        values.append("" if number is None else number)
        if indicator.unit is Unit.PERCENT:
            values += ["", ""] if figure is None else [figure.value, figure.of]
    return values
