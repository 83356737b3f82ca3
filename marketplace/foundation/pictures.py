"""Uploaded pictures: taken in by a request, drawn in several widths by a job, taken away when nothing shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select

from marketplace.foundation import clock, images, jobs, media
from marketplace.foundation.database import add, db, locked, transaction
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.models import Picture

if TYPE_CHECKING:
    from datetime import datetime

log = structlog.get_logger("pictures")

# Pages in somebody's browser may still name the files of a picture that was replaced a moment ago.
UNUSED_FOR = timedelta(days=2)


def take_in(content: bytes, shape: str, *, words: dict[str, Any], now: datetime) -> Picture:
    """Keep an upload and let a job draw it; call inside the transaction that gives it an owner. Raises Invalid.

    `words` holds alt_zh, alt_en, focus_x and focus_y.
    """
    images.check(content, shape)
    picture = add(Picture(shape=shape, content=content, created_at=now, drawn_at=None, **words))
    jobs.enqueue(draw, picture_id=picture.id)
    return picture


def change(picture_id: int, words: dict[str, Any]) -> None:
    """Change the words and the focus of a picture; another focus draws it anew. Locks it."""
    with transaction():
        picture = locked(Picture, picture_id)
        is_moved = (picture.focus_x, picture.focus_y) != (words["focus_x"], words["focus_y"])
        for name, value in words.items():
            setattr(picture, name, value)
        if is_moved and picture.state != "refused":
            picture.state = "waiting"
            jobs.enqueue(draw, picture_id=picture.id)


def remove(picture_id: int) -> None:
    """Forget a picture; call inside the transaction that takes it from its owner. The sweep deletes its files."""
    picture = db.session.get(Picture, picture_id)
    if picture is None:
        raise NotFound
    db.session.delete(picture)


@jobs.task(name="pictures.draw")
def draw(picture_id: int) -> None:
    """Draw a picture in every width and format; again is no harm, since files are named by their content."""
    picture = db.session.get(Picture, picture_id)
    if picture is None or picture.state != "waiting":
        return
    shape, focus = picture.shape, (picture.focus_x, picture.focus_y)
    content, source = picture.content, picture.source
    db.session.rollback()
    try:
        clean = media.read(source) if source else images.clean(content or b"", shape)
    except Invalid as refused:
        _refuse(picture_id, refused.code)
        return
    source = source or media.write(clean, "webp")
    renditions = [
        {
            "format": made.format,
            "width": made.width,
            "height": made.height,
            "name": media.write(made.content, made.format),
        }
        for made in images.draw(clean, shape, focus=focus)
    ]
    with transaction():
        row = db.session.get(Picture, picture_id, with_for_update=True, populate_existing=True)
        if row is None:
            return
        row.source, row.renditions, row.content, row.drawn_at = source, renditions, None, clock.now()
        # Moved meanwhile: the job of that change draws it once more.
        row.state = "ready" if (row.focus_x, row.focus_y) == focus else "waiting"


def _refuse(picture_id: int, code: str) -> None:
    with transaction():
        picture = db.session.get(Picture, picture_id, with_for_update=True)
        if picture is not None:
            picture.state, picture.refusal, picture.content = "refused", code, None


def delete_unused_files(*, now: datetime) -> int:
    """Delete the files that no picture names and nobody wrote for UNUSED_FOR; returns how many."""
    old = dict(media.list_older((now - UNUSED_FOR).timestamp()))
    # Asked after the files were listed: a picture drawn in between names files younger than those.
    used: set[str] = set()
    for source, renditions in db.session.execute(select(Picture.source, Picture.renditions)):
        used |= {source, *(rendition["name"] for rendition in renditions)}
    unused = [path for name, path in old.items() if name not in used]
    for path in unused:
        path.unlink(missing_ok=True)
    return len(unused)


@jobs.periodic(cron="23 4 * * *", name="pictures.sweep")
def sweep() -> None:
    """Every night: take away the files of pictures that were replaced or removed."""
    deleted = delete_unused_files(now=clock.now())
    if deleted:
        log.info("unused pictures deleted", files=deleted)
