"""The cover of a course: uploaded, described, moved to its focus, removed; without one a cover is generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketplace.catalog import trail
from marketplace.catalog.models import Course
from marketplace.foundation import pictures
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.accounts.models import Person


def set_cover(course_id: int, content: bytes | None, words: dict[str, Any], *, actor: Person, now: datetime) -> None:
    """Upload a cover, or without content change the words and the focus of the present one. Locks the course.

    A new file takes the place of the old one as soon as it is drawn; until then the generated cover stands there.
    Raises Invalid for what is no fit picture or has no words for those who do not see it.
    """
    if not words["alt_zh"].strip() and not words["alt_en"].strip():
        sentence = lazy("Say in a few words what can be seen, in Chinese or in English.")
        raise Invalid("alt_missing", sentence, {"alt_zh": sentence})
    with transaction():
        course = locked(Course, course_id)
        if content is not None:
            before = course.picture_id
            course.picture = pictures.take_in(content, "cover", words=words, now=now)
            db.session.flush()
            if before is not None:
                pictures.remove(before)
        elif course.picture_id is None:
            raise Invalid("picture_missing", lazy("Choose a file."), {"file": lazy("Choose a file.")})
        else:
            pictures.change(course.picture_id, words)
        trail.record("cover_changed", course_id=course.id, actor_id=actor.id, now=now)


def remove_cover(course_id: int, *, actor: Person, now: datetime) -> None:
    """Go back to the generated cover. Locks the course; raises NotFound when there is none."""
    with transaction():
        course = locked(Course, course_id)
        if course.picture_id is None:
            raise NotFound
        before = course.picture_id
        course.picture = None
        db.session.flush()
        pictures.remove(before)
        trail.record("cover_removed", course_id=course.id, actor_id=actor.id, now=now)
