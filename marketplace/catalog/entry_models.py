"""What the list of courses is found, narrowed and sorted by: one narrow row for each published course."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Computed, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.catalog.models import LAST
from marketplace.foundation.database import Model


class CourseEntry(Model):
    """A published course in the list, written by `search.index_course`.

    A dozen rows fit into a page of the disk, where four courses do: a search looks at thousands. The long `words`
    lie beside the rows and are read for the few courses that are ranked. A trigger of `course` takes the row away when
    the course is withdrawn, and lets it follow the moment of publication.
    """

    __tablename__ = "course_entry"
    __table_args__ = (
        Index("ix_course_entry_words", "words", postgresql_using="gin"),
        Index("ix_course_entry_title_words", "title_words", postgresql_using="gin"),
        Index("ix_course_entry_titles", "titles", postgresql_using="gin", postgresql_ops={"titles": "gin_trgm_ops"}),
        Index("ix_course_entry_facets", "facets", postgresql_using="gin"),
        *(
            Index(f"ix_course_entry_{column}", column, "course_id")
            for column in ("published_at", "sort_start", "sort_price")
        ),
        Index("ix_course_entry_indexed_at", "indexed_at"),
    )

    course_id: Mapped[int] = mapped_column(ForeignKey("course.id", ondelete="CASCADE"), primary_key=True)
    published_at: Mapped[datetime]
    words: Mapped[str] = mapped_column(TSVECTOR)
    # The words of the titles alone, short enough to stay in the row: what ranks first.
    title_words: Mapped[str] = mapped_column(
        TSVECTOR, Computed("ts_filter(words, '{a}'::\"char\"[])", persisted=True)
    )  # fmt: skip
    # Both titles, folded: the nearest ones are found when no word matches.
    titles: Mapped[str] = mapped_column(Text)
    # As catalog.facets tells.
    facets: Mapped[list[str]] = mapped_column(ARRAY(Text))
    sort_start: Mapped[int] = mapped_column(default=LAST)
    sort_price: Mapped[int] = mapped_column(default=LAST)
    # The database's clock: what was indexed since a moment.
    indexed_at: Mapped[datetime]
