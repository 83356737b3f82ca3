"""Doors of the desk: what one organisation writes does not exist for another."""

import pytest

from marketplace.catalog import partners
from marketplace.catalog.models import Course
from marketplace.foundation import clock
from marketplace.foundation.database import db
from tests.factories import make_course, make_member, make_organisation, make_staff, sign_in


@pytest.fixture
def editor(app):
    return make_member(make_organisation(), "editor", locale="en")


@pytest.fixture
def desk_client(client, editor):
    return sign_in(client, editor)


def sent(**changes):
    given = {"original_language": "zh", "title_zh": "数字修复", "title_en": "", "category_id": "0", "level": "advanced"}
    states = {f"state_{name}": "translated" for name in ("title", "summary", "description", "outcomes", "syllabus")}
    return given | states | changes


def own_draft(editor, **values):
    given = {"state": "draft", "published_at": None, "title_en": "Mine"}
    return make_course(editor.memberships[0].organisation, **(given | values))


def test_a_course_is_begun_changed_and_sent_to_review(desk_client, editor):
    organisation = editor.memberships[0].organisation
    assert desk_client.get("/desk").headers["Location"] == f"/providers/{organisation.public_id}/desk"
    new = f"/providers/{organisation.public_id}/courses/new"
    assert "Which language do you write first?" in desk_client.get(new).text

    answer = desk_client.post(new, data=sent(outcomes_zh="- 会修复\n- 会记录"))

    course = db.session.query(Course).one()
    assert answer.headers["Location"] == f"/desk/courses/{course.public_id}"
    assert (course.outcomes_zh, course.level, course.state) == (["会修复", "会记录"], "advanced", "draft")
    page = desk_client.get(answer.headers["Location"]).text
    assert "Before a reviewer can read it, it needs:" in page
    assert "a summary" in page
    refused = desk_client.post(
        f"/desk/courses/{course.public_id}/steps", data={"step": "submit"}, follow_redirects=True
    )
    assert "The course still lacks something" in refused.text


def test_without_a_title_nothing_is_saved_and_nothing_typed_is_lost(desk_client, editor):
    organisation = editor.memberships[0].organisation

    answer = desk_client.post(
        f"/providers/{organisation.public_id}/courses/new", data=sent(title_zh=" ", description_zh="写了很久")
    )

    assert answer.status_code == 422
    assert "Enter a title in Chinese or in English." in answer.text
    assert "写了很久" in answer.text
    assert db.session.query(Course).count() == 0


def test_who_saves_second_sees_both_texts_and_can_save_again(desk_client, editor):
    course = own_draft(editor)
    edit = f"/desk/courses/{course.public_id}/edit"
    desk_client.post(edit, data=sent(title_en="First", version=1))

    second = desk_client.post(edit, data=sent(title_en="Second", version=1))

    assert second.status_code == 409
    assert "Somebody else saved this since you opened it." in second.text
    assert 'value="Second"' in second.text
    assert "<td>First</td>" in second.text
    assert 'name="version" type="hidden" value="2"' in second.text
    assert desk_client.post(edit, data=sent(title_en="Second", version=2)).status_code == 303
    assert "Second" in desk_client.get(f"/desk/courses/{course.public_id}/history").text


@pytest.mark.parametrize("page", ["", "/edit", "/preview", "/history", "/partners"])
def test_the_course_of_another_organisation_does_not_exist(desk_client, page):
    course = make_course()

    assert desk_client.get(f"/desk/courses/{course.public_id}{page}").status_code == 404


@pytest.mark.parametrize(
    ("role", "page", "status"),
    [
        ("editor", "", 200),
        ("editor", "/edit", 200),
        ("editor", "/preview", 200),
        ("editor", "/history", 200),
        ("editor", "/partners", 200),
        ("owner", "/edit", 200),
        ("registrar", "", 200),
        ("registrar", "/preview", 200),
        ("registrar", "/edit", 403),
        ("registrar", "/partners", 403),
        ("instructor", "", 403),
        ("finance", "/edit", 403),
    ],
)
def test_each_role_opens_its_own_pages(client, role, page, status):
    organisation = make_organisation()
    course = make_course(organisation, state="draft", published_at=None)
    sign_in(client, make_member(organisation, role))

    assert client.get(f"/desk/courses/{course.public_id}{page}").status_code == status


def test_a_foreign_desk_and_foreign_acts_do_not_exist(desk_client, editor):
    course, other = make_course(), make_organisation()
    asked = partners.invite(
        course.id, other.public_id, {"duties_zh": "", "duties_en": ""}, actor=editor, now=clock.now()
    )
    organisation = editor.memberships[0].organisation.public_id
    doors = [
        ("GET", f"/providers/{other.public_id}/desk"),
        ("GET", f"/providers/{other.public_id}/courses/new"),
        ("POST", f"/desk/courses/{course.public_id}/steps"),
        ("POST", f"/desk/courses/{course.public_id}/partners/{organisation}/leave"),
        ("POST", f"/desk/invitations/{asked.public_id}/answer"),
        ("POST", f"/desk/invitations/{asked.public_id}/withdraw"),
    ]

    data = {"step": "submit", "answer": "accept"}
    assert [desk_client.open(path, method=method, data=data).status_code for method, path in doors] == [404] * 6


def test_partners_are_asked_and_answer_at_their_own_desk(client, editor):
    partner = make_member(make_organisation(name_en="Kapok Works", name_zh=""), "editor", locale="en")
    course = own_draft(editor)
    organisation = partner.memberships[0].organisation
    path = f"/desk/courses/{course.public_id}/partners"
    sign_in(client, editor)
    assert "Kapok Works" in client.get(f"{path}?q=kapok").text
    client.post(f"{path}?q=kapok", data={"organisation": organisation.public_id, "duties_en": "studio"})

    sign_in(client, partner)
    page = client.get(f"/providers/{organisation.public_id}/desk").text
    assert "asks you to provide “Mine” together" in page
    [asked] = partners.list_asked_of(organisation.id)
    client.post(f"/desk/invitations/{asked.public_id}/answer", data={"answer": "accept"})

    assert "Kapok Works" in client.get(f"/desk/courses/{course.public_id}").text
    assert client.post(f"/desk/courses/{course.public_id}/steps", data={"step": "submit"}).status_code == 404


def test_reviewers_approve_return_and_read_changes(client, editor):
    course = own_draft(editor, state="in_review")
    sign_in(client, make_staff("reviewer", locale="en"))
    page = f"/staff/reviews/{course.public_id}"
    assert "Mine" in client.get("/staff/reviews").text
    assert "Approve and publish" in client.get(page).text
    assert client.post(page, data={"note": ""}).status_code == 422
    client.post(page, data={"note": "More outcomes"})
    assert db.session.get_one(Course, course.id).state == "draft"

    sign_in(client, editor)
    assert "More outcomes" in client.get(f"/desk/courses/{course.public_id}").text


def test_an_approved_course_is_public(client, editor):
    course = own_draft(editor, state="in_review")
    assert client.get(f"/courses/{course.public_id}").status_code == 404
    sign_in(client, make_staff("reviewer"))

    client.post(f"/staff/reviews/{course.public_id}/approve")

    assert client.get(f"/courses/{course.public_id}").status_code == 200


def test_readers_are_told_of_a_machine_and_of_an_overtaken_translation(client, editor):
    states = {"summary": "machine", "description": "stale"}
    texts = {f"{name}_{lang}": "x" for name in states for lang in ("zh", "en")}
    course = own_draft(editor, state="published", published_at=clock.now(), translation_state=states, **texts)

    english = client.get(f"/courses/{course.public_id}?lang=en").text
    chinese = client.get(f"/courses/{course.public_id}?lang=zh").text
    assert "Translated by a machine; nobody has checked it yet." in english
    assert "The original has changed since this was translated." in english
    assert "机器翻译" not in chinese
