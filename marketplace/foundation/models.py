"""Rows of the ground floor: pictures that somebody uploaded, whatever they are of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.foundation import clock, ids
from marketplace.foundation.database import Model, PrimaryKey


class Drawn:
    """What pages ask of a picture, wherever its row was read."""

    renditions: Any

    @property
    def is_ready(self) -> bool:
        """Whether there is something to show."""
        return bool(self.renditions)

    def of_format(self, name: str) -> list[dict[str, Any]]:
        """Its renditions in one format, narrowest first."""
        return [rendition for rendition in self.renditions if rendition["format"] == name]


@dataclass(frozen=True)
class ShownPicture(Drawn):
    """A picture as a page reads it beside what it belongs to."""

    renditions: list[dict[str, Any]]
    alt_zh: str
    alt_en: str


class Picture(Drawn, Model):
    """An uploaded picture: waiting to be drawn anew by a job, ready in several widths, or refused with a reason.

    `content` is what was uploaded, kept until the job has drawn it; `source` and `renditions` name files under the
    media folder. The focus is the point (in per cent) that stays in sight when it is cropped to its `shape`.
    """

    __tablename__ = "picture"
    __table_args__ = (
        UniqueConstraint("public_id"),
        Index("ix_picture_waiting", "id", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[PrimaryKey]
    public_id: Mapped[str] = mapped_column(Text, default=ids.public_id)
    shape: Mapped[str] = mapped_column(Text)
    alt_zh: Mapped[str] = mapped_column(Text, default="")
    alt_en: Mapped[str] = mapped_column(Text, default="")
    focus_x: Mapped[int] = mapped_column(Integer, default=50)
    focus_y: Mapped[int] = mapped_column(Integer, default=50)
    state: Mapped[str] = mapped_column(Text, default="waiting")
    refusal: Mapped[str | None] = mapped_column(Text)
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    source: Mapped[str | None] = mapped_column(Text)
    # [{"format": "webp", "width": 640, "height": 360, "name": "ab/….webp"}], narrowest first.
    renditions: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    drawn_at: Mapped[datetime | None]
