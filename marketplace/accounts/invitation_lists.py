"""Many people invited at once from a spreadsheet: every row is tried by itself, and each is told of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketplace.accounts import organisations
from marketplace.foundation import csv_files
from marketplace.foundation.database import savepoint, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.accounts.models import Organisation, Person
    from marketplace.foundation.i18n import LazyString

MOST_ROWS = 500
COLUMN = "email"


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of one row (counted from 2, as a spreadsheet does); `refusal` is None for an invited one."""

    number: int
    email: str
    refusal: str | LazyString | None


def invite_all(
    organisation: Organisation, content: bytes, *, role: str, actor: Person, now: datetime
) -> list[RowResult]:
    """Invite each address of a CSV file to a role; Invalid when it is no such file. Sent again it invites nobody."""
    results = []
    for number, email in enumerate(read_addresses(content), start=2):
        refusal: str | LazyString | None = None
        try:
            with transaction(), savepoint():
                organisations.invite(organisation, email=email, role=role, actor=actor, now=now)
        except Refused as refused:
            refusal = refused.message
        results.append(RowResult(number, email, refusal))
    return results


def read_addresses(content: bytes) -> list[str]:
    """The addresses of a CSV file in UTF-8 or GB 18030 with a column "email", or with one column and no heading."""
    rows = [row for row in csv_files.rows(content) if any(cell.strip() for cell in row)]
    heading = [cell.strip().lower() for cell in rows[0]] if rows else []
    if COLUMN in heading:
        place, rows = heading.index(COLUMN), rows[1:]
    elif heading and "@" in heading[0]:
        place = 0
    else:
        raise Invalid("columns_missing", lazy("The file lacks these columns: %(names)s.", names=COLUMN))
    if len(rows) > MOST_ROWS:
        raise Invalid("too_many_rows", lazy("The file has more than %(count)s rows.", count=MOST_ROWS))
    return [row[place].strip() if len(row) > place else "" for row in rows]
