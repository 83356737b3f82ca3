"""Courses written and reviewed: two editors at once, the way to publication, partners, the history."""

import pytest
import sqlalchemy as sa

from marketplace.catalog import authoring, desk, partners, search, trail
from marketplace.catalog.authoring import EditedMeanwhile
from marketplace.catalog.authoring_rules import Step
from marketplace.catalog.models import Category, Course
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from tests.factories import make_course, make_member, make_organisation, make_staff


def values(**changes):
    given = dict.fromkeys(authoring.COLUMNS, "") | {"category_id": None, "level": "introductory"}
    given |= {"original_language": "zh", "title_zh": "数字修复", "title_en": "Digital restoration"}
    lists = {f"{name}_{lang}": [] for name in ("outcomes", "syllabus") for lang in ("zh", "en")}
    return given | lists | changes


def complete(**changes):
    with transaction():
        category = add(Category(code="c", name_zh="类", name_en="C", position=0))
    given = {"summary_zh": "摘要", "description_zh": "介绍", "outcomes_zh": ["会修复"], "category_id": category.id}
    return values(**(given | changes))


@pytest.fixture
def editor(app):
    return make_member(make_organisation(), "editor")


def begin(editor, **changes):
    organisation = editor.memberships[0].organisation
    return authoring.create_course(organisation.id, values(**changes), translations={}, actor=editor, now=clock.now())


def save(course, editor, given, *, version=None, translations=None):
    return authoring.save_course(
        course.id,
        given,
        translations=translations or {},
        version=version or course.version,
        actor=editor,
        now=clock.now(),
    )


def step(course, name, actor, **options):
    return authoring.take_step(course.id, Step(name), actor=actor, now=clock.now(), **options)


def kinds(course):
    return [event.kind for event in trail.list_events(course.id)[0]]


def test_a_course_begins_as_a_draft_of_its_organisation(editor):
    course = begin(editor)

    assert (course.state, course.version, course.translation_state) == ("draft", 1, {"title": "translated"})
    assert course.lead_ids == [editor.memberships[0].organisation_id]
    assert search.find_courses(search.Wish(words="数字修复")).courses == []
    assert kinds(course) == ["created"]


def test_a_save_is_kept_with_what_was_before_and_nothing_leaves_no_trace(editor):
    course = begin(editor)

    assert save(course, editor, values(title_zh="数字化修复"))
    assert not save(course, editor, values(title_zh="数字化修复"))

    [changed, _created] = trail.list_events(course.id)[0]
    assert changed.actor_id == editor.id
    assert changed.details["changed"]["title_zh"] == ["数字修复", "数字化修复"]
    assert course.text_state("title", "en") == "stale"
    assert save(course, editor, values(title_zh="数字化修复"), translations={"title": "translated"})
    assert course.text_state("title", "en") == "translated"


def test_the_second_of_two_editors_is_told_what_the_first_one_saved(editor):
    course = begin(editor)
    save(course, editor, values(title_en="First"), version=1)

    with pytest.raises(EditedMeanwhile) as told:
        save(course, editor, values(title_en="Second"), version=1)

    assert told.value.changed == {"title_en": "First"}
    assert db.session.get_one(Course, course.id).title_en == "First"
    assert save(course, editor, values(title_en="Second"), version=2)


def test_from_draft_to_published_and_withdrawn(editor):
    reviewer, course = make_staff("reviewer"), begin(editor)
    with pytest.raises(Invalid):
        step(course, "submit", editor)
    save(course, editor, complete())

    step(course, "submit", editor)
    with pytest.raises(Refused):
        save(course, editor, values())
    with pytest.raises(Invalid):
        step(course, "return", reviewer)
    step(course, "return", reviewer, note="请补充大纲")
    assert trail.last_note(course.id).details == {"note": "请补充大纲"}
    step(course, "submit", editor)
    step(course, "approve", reviewer)
    first = course.published_at

    assert [card.id for card in search.find_courses(search.Wish(words="数字修复")).courses] == [course.id]
    step(course, "withdraw", editor)
    assert search.find_courses(search.Wish(words="数字修复")).courses == []
    step(course, "submit", editor)
    step(course, "approve", reviewer)
    assert course.published_at == first
    assert kinds(course)[:3] == ["approved", "submitted", "withdrawn"]


def test_a_change_after_approval_waits_to_be_read(editor):
    reviewer = make_staff("reviewer")
    course = make_course(editor.memberships[0].organisation, approved_version=1)
    assert desk.list_changed_since_approval() == []

    save(course, editor, values())
    assert desk.list_changed_since_approval() == [course]
    authoring.look_at_changes(course.id, version=2, actor=reviewer, now=clock.now())
    assert desk.list_changed_since_approval() == []


def test_the_history_is_only_added_to(editor):
    course = begin(editor)

    for statement in ("UPDATE course_event SET kind = 'x'", "DELETE FROM course_event"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), db.session.begin_nested():
            db.session.execute(sa.text(statement))
    assert kinds(course) == ["created"]


def test_the_desk_lists_page_by_page_in_two_queries(editor):
    organisation = editor.memberships[0].organisation
    made = [make_course(organisation, state="draft", published_at=None) for _ in range(desk.PAGE + 2)]
    make_course()

    first, before = desk.list_courses(organisation.id)
    rest, end = desk.list_courses(organisation.id, before=before)
    assert [course.id for course in [*first, *rest]] == [course.id for course in reversed(made)]
    assert end is None
    assert desk.count_courses(organisation.id) == {"draft": len(made)}
    assert desk.list_courses(organisation.id, state="published") == ([], None)


DUTIES = {"duties_zh": "提供设备", "duties_en": "studio"}


def test_a_partner_is_named_once_it_has_accepted(editor):
    course, partner = begin(editor), make_member(make_organisation(name_zh="木棉工坊"), "editor")
    organisation = partner.memberships[0].organisation
    assert partners.find_providers("木棉", course=course) == [organisation]

    asked = partners.invite(course.id, organisation.public_id, DUTIES, actor=editor, now=clock.now())
    with pytest.raises(Refused):
        partners.invite(course.id, organisation.public_id, DUTIES, actor=editor, now=clock.now())
    assert course.organisation_ids == course.lead_ids
    partners.answer(asked.id, accepts=True, actor=partner, now=clock.now())

    assert course.organisation_ids == [*course.lead_ids, organisation.id]
    assert course.providers[1].duties_en == "studio"
    with pytest.raises(Refused):
        partners.answer(asked.id, accepts=False, actor=partner, now=clock.now())
    with pytest.raises(Refused):
        partners.leave(course.id, course.lead_ids[0], actor=editor, now=clock.now())
    partners.leave(course.id, organisation.id, actor=partner, now=clock.now())
    assert course.organisation_ids == course.lead_ids
    assert kinds(course) == ["partner_left", "partner_accepted", "partner_invited", "created"]


def test_who_declines_or_is_not_asked_any_more_can_be_asked_again(editor):
    course, other = begin(editor), make_organisation()
    for end in ("declined", "withdrawn"):
        asked = partners.invite(course.id, other.public_id, DUTIES, actor=editor, now=clock.now())
        if end == "declined":
            partners.answer(asked.id, accepts=False, actor=editor, now=clock.now())
        else:
            partners.withdraw_invitation(asked.id, actor=editor, now=clock.now())
        assert asked.answer == end
    assert partners.list_asked_by(course.id) == []
    with pytest.raises(NotFound):
        partners.leave(course.id, other.id, actor=editor, now=clock.now())


def test_an_employer_is_no_partner(editor):
    employer = make_organisation(kind="employer")

    with pytest.raises(Invalid):
        partners.invite(begin(editor).id, employer.public_id, DUTIES, actor=editor, now=clock.now())
