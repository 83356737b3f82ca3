"""Inserts many rows at once and gives their ids back in the order of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from marketplace.foundation.database import Base, db

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 1000


def insert_rows(model: type[Base], rows: Sequence[dict[str, Any]]) -> list[int]:
    """Insert rows of one table; every row names the same columns. Call inside a transaction."""
    column: Any = model.__table__.c["id"]
    found: list[int] = []
    for start in range(0, len(rows), BATCH):
        statement = insert(model).returning(column, sort_by_parameter_order=True)
        found += db.session.scalars(statement, list(rows[start : start + BATCH])).all()
    return found
