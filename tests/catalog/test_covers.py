"""Covers of courses: uploaded with words, shown once drawn, removed; for whom they are not, they do not exist."""

import io

import pytest

from marketplace.catalog import covers, search, trail
from marketplace.catalog.models import Course
from marketplace.foundation import clock, jobs, media
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid, NotFound
from marketplace.foundation.models import Picture
from tests.factories import make_course, make_member, make_organisation, sign_in
from tests.pictures import bomb, photo

WORDS = {"alt_zh": "", "alt_en": "A kiln at night", "focus": "50-0"}


@pytest.fixture
def editor(client, tmp_path, monkeypatch):
    monkeypatch.setattr(media, "folder", lambda: tmp_path / "pictures")
    editor = make_member(make_organisation(), "editor", locale="en")
    sign_in(client, editor)
    editor.course = make_course(editor.memberships[0].organisation)
    return editor


def send(client, course, content=None, **words):
    data = WORDS | words
    if content is not None:
        data["file"] = (io.BytesIO(content), "IMG 1.jpg")
    return client.post(f"/desk/courses/{course.public_id}/cover", data=data)


def test_a_cover_is_drawn_shown_and_removed(client, editor):
    course = editor.course
    search.index_course(course, now=clock.now())
    page = f"/courses/{course.public_id}?lang=zh"
    assert send(client, course, photo()).status_code == 303
    assert "<picture>" not in client.get(page).text
    assert "Being drawn" in client.get(f"/desk/courses/{course.public_id}/cover").text

    jobs.run_pending()
    db.session.expire_all()

    shown = client.get(page).text
    assert '<source type="image/avif" srcset="/media/' in shown
    assert 'alt="A kiln at night" lang="en"' in shown
    assert "320w, " in shown
    assert "<picture>" in client.get("/courses").text
    client.post(f"/desk/courses/{course.public_id}/cover/remove")
    assert "<picture>" not in client.get(page).text
    assert db.session.query(Picture).count() == 0
    assert [event.kind for event in trail.list_events(course.id)[0]] == ["cover_removed", "cover_changed"]


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (bomb(), {}, "The picture has too many pixels"),
        (b"%PDF-1.7", {}, "This is no picture we can read."),
        (photo(300, 200), {}, "The picture is too small"),
        (None, {}, "Choose a file."),
        (photo(), {"alt_en": " "}, "Say in a few words what can be seen"),
    ],
)
def test_what_is_no_cover_is_said_beside_its_field(client, editor, content, words, said):
    answer = send(client, editor.course, content, **words)

    assert answer.status_code == 422
    assert said in answer.text
    assert db.session.query(Picture).count() == 0


def test_new_words_need_no_new_file_and_a_new_file_replaces_the_old(client, editor):
    course = editor.course
    send(client, course, photo())
    first = db.session.get_one(Course, course.id).picture_id
    send(client, course, alt_zh="夜窑")
    assert course.picture.alt_zh == "夜窑"

    send(client, course, photo(colours=("#111", "#222")))

    assert [row.id for row in db.session.query(Picture)] == [course.picture_id]
    assert course.picture_id != first


def test_covers_of_others_do_not_exist(client, editor):
    course = make_course()

    assert send(client, course, photo()).status_code == 404
    assert client.post(f"/desk/courses/{course.public_id}/cover/remove").status_code == 404
    with pytest.raises(NotFound):
        covers.remove_cover(course.id, actor=editor, now=clock.now())
    with pytest.raises(Invalid):
        words = {"alt_zh": "", "alt_en": "", "focus_x": 0, "focus_y": 0}
        covers.set_cover(course.id, None, words, actor=editor, now=clock.now())


def test_an_owner_shows_a_logo_on_the_public_page(client, editor):
    organisation = editor.memberships[0].organisation
    sign_in(client, make_member(organisation, "owner", locale="en"))
    path = f"/organisations/{organisation.public_id}/logo"
    client.post(path, data={"file": (io.BytesIO(photo(200, 200)), "logo.png")})
    jobs.run_pending()
    db.session.expire_all()

    assert 'class="logo"' in client.get(f"/providers/{organisation.public_id}").text
    client.post(f"{path}/remove")
    assert 'class="logo"' not in client.get(f"/providers/{organisation.public_id}").text
    sign_in(client, editor)
    assert client.get(path).status_code == 403
