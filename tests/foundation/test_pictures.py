"""Uploads drawn by a job, served for ever under the name of their content, swept when nothing shows them."""

import os
from datetime import timedelta

import pytest

from marketplace.foundation import clock, jobs, media, pictures
from marketplace.foundation.database import db, transaction
from marketplace.foundation.models import Picture
from tests.factories import make_person, sign_in
from tests.pictures import photo

WORDS = {"alt_zh": "两种颜色", "alt_en": "Two colours", "focus_x": 50, "focus_y": 50}


def take_in(content=None, **words):
    with transaction():
        return pictures.take_in(content or photo(2400, 900), "cover", words=WORDS | words, now=clock.now())


def names(picture):
    return [picture.source, *(rendition["name"] for rendition in picture.renditions)]


@pytest.fixture
def picture(app, tmp_path, monkeypatch):
    monkeypatch.setattr(media, "folder", lambda: tmp_path / "pictures")
    made = take_in()
    jobs.run_pending()
    db.session.refresh(made)
    return made


def test_an_upload_is_drawn_by_a_job(picture):
    assert (picture.state, picture.content, len(picture.renditions)) == ("ready", None, 8)
    assert all((media.folder() / name).is_file() for name in names(picture))
    before = names(picture)
    picture.state = "waiting"
    pictures.draw.func.inner(picture_id=picture.id)
    assert names(db.session.get(Picture, picture.id)) == before


def test_another_focus_draws_it_anew(picture):
    left = names(picture)

    pictures.change(picture.id, WORDS | {"focus_x": 0, "alt_en": "Blue"})
    assert (picture.state, picture.alt_en, picture.is_ready) == ("waiting", "Blue", True)
    jobs.run_pending()
    db.session.refresh(picture)

    assert picture.state == "ready"
    assert names(picture)[0] == left[0]
    assert set(names(picture)[1:]).isdisjoint(left)


def test_a_picture_that_breaks_off_says_why(picture):
    broken = take_in(photo()[:2000])

    jobs.run_pending()

    db.session.refresh(broken)
    assert (broken.state, broken.refusal, broken.content) == ("refused", "picture_unreadable", None)


def test_files_that_nothing_names_are_deleted_after_a_while(picture):
    kept = names(picture)
    gone = take_in(photo(colours=("#000", "#fff")))
    jobs.run_pending()
    db.session.refresh(gone)
    unused = names(gone)
    with transaction():
        pictures.remove(gone.id)

    assert pictures.delete_unused_files(now=clock.now()) == 0
    later = clock.now() + pictures.UNUSED_FOR + timedelta(seconds=5)
    assert pictures.delete_unused_files(now=later) == len(set(unused) - set(kept))
    assert all((media.folder() / name).is_file() for name in kept)
    assert not any((media.folder() / name).exists() for name in unused)


def test_a_file_may_be_kept_for_ever_and_can_do_nothing(picture, client):
    name = picture.renditions[1]["name"]
    sign_in(client, make_person())
    with client.session_transaction() as session:
        session.permanent = True

    answer = client.get(f"/media/{name}", buffered=True)

    assert (answer.status_code, answer.mimetype) == (200, "image/webp")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    assert (
        client.get(f"/media/{name}", buffered=True, headers={"If-None-Match": answer.headers["ETag"]}).status_code
        == 304
    )


@pytest.mark.parametrize(
    "name", ["../config.py", "ab/../../x.webp", "ab/" + "0" * 30 + ".html", "ab/" + "0" * 30 + ".webp"]
)
def test_nothing_else_is_served(picture, client, name):
    assert client.get(f"/media/{name}").status_code == 404


def test_a_half_written_file_is_swept_too(picture):
    part = media.folder() / "ab" / "x.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"x")
    os.utime(part, (0, 0))

    assert pictures.delete_unused_files(now=clock.now()) == 1
