"""Skills: proposed by providers, decided once by reviewers, shown as aligned only then."""

import pytest

from marketplace.catalog import alignments, search, skills, trail
from marketplace.catalog.models import CourseSkill, Skill
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from tests.factories import make_course, make_member, make_organisation, make_staff, sign_in


def make_skill(label, zh=None):
    with transaction():
        return add(Skill(framework="ESCO 1.2.0", uri=f"urn:{label}", label_en=label, label_zh=zh, description_en="D"))


@pytest.fixture
def editor(client):
    editor = make_member(make_organisation(), "editor", locale="en")
    sign_in(client, editor)
    editor.course = make_course(editor.memberships[0].organisation)
    return editor


def decide(taught, decision, skill=None):
    chosen = skill.id if skill else None
    alignments.decide(taught.id, decision, skill_id=chosen, actor=make_staff("reviewer"), now=clock.now())


def propose(editor, thing):
    options = {"actor": editor, "now": clock.now()}
    if isinstance(thing, Skill):
        alignments.propose_skill(editor.course.id, thing.id, **options)
    else:
        alignments.propose_words(editor.course.id, thing, **options)
    return db.session.query(CourseSkill).order_by(CourseSkill.id.desc()).first()


def test_skills_are_found_by_either_label_and_by_what_is_like_it(editor):
    modelling, museum = make_skill("3D modelling", "三维建模"), make_skill("digitise museum collections")

    for words, found in {"model": modelling, "三维": modelling, "3D modeling": modelling, "museum": museum}.items():
        assert alignments.find_skills(words)[0] is found
    assert alignments.find_skills("  ") == []
    assert alignments.find_skills("100%_\\") == []


def test_a_proposal_is_no_alignment_until_it_is_confirmed(client, editor):
    taught = propose(editor, make_skill("photogrammetry"))
    page = f"/courses/{editor.course.public_id}?lang=en"
    assert "photogrammetry" not in client.get(page).text
    assert search.find_courses(search.Wish(words="photogrammetry")).total == 0

    decide(taught, "accept")

    assert "photogrammetry</a>" in client.get(page).text
    assert "uses the ESCO classification" in client.get(page).text
    assert search.find_courses(search.Wish(words="photogrammetry")).total == 1
    assert (taught.state, taught.decided_at is not None) == ("reviewed", True)
    with pytest.raises(Refused):
        decide(taught, "reject")
    assert [event.kind for event in trail.list_events(editor.course.id)[0]] == ["skill_accepted", "skill_proposed"]


def test_what_was_rejected_is_shown_to_its_provider_alone_and_can_be_asked_again(client, editor):
    skill = make_skill("weaving")
    taught = propose(editor, skill)
    decide(taught, "reject")

    assert "weaving" not in client.get(f"/courses/{editor.course.public_id}?lang=en").text
    assert "Rejected" in client.get(f"/desk/courses/{editor.course.public_id}/skills").text
    propose(editor, skill)
    assert taught.state == "proposed"
    with pytest.raises(Refused):
        propose(editor, skill)


def test_own_words_stay_words_until_they_are_mapped(client, editor):
    skill = make_skill("3D scanning")
    taught = propose(editor, "3d  scans")
    page = f"/courses/{editor.course.public_id}?lang=en"
    assert "3d scans" in client.get(page).text
    assert alignments.suggest(taught) == [skill]

    with pytest.raises(Invalid):
        decide(taught, "map")
    decide(taught, "map", skill)

    assert (taught.skill_id, taught.free_text, taught.mapped_from) == (skill.id, None, "3d scans")
    assert "3D scanning</a>" in client.get(page).text


def test_words_that_mean_a_skill_the_course_has_leave_one_alignment(editor):
    skill = make_skill("3D scanning")
    named = propose(editor, skill)
    words = propose(editor, "scans")

    decide(words, "map", skill)

    assert [(row.id, row.state, row.mapped_from) for row in db.session.query(CourseSkill)] == [
        (named.id, "reviewed", "scans")
    ]


@pytest.mark.parametrize("words", ["", "x", "x" * 121])
def test_own_words_have_a_length(editor, words):
    with pytest.raises(Invalid):
        propose(editor, words)


def test_a_skill_is_proposed_and_removed_at_the_desk(client, editor):
    skill = make_skill("colour grading")
    path = f"/desk/courses/{editor.course.public_id}/skills"
    assert "Propose colour grading" in client.get(f"{path}?q=grading").text
    client.post(path, data={"skill": skill.id})
    assert client.post(path, data={"words": "x"}).status_code == 422
    [taught] = editor.course.skills
    assert "Propose colour grading" not in client.get(f"{path}?q=grading").text

    client.post(f"{path}/{taught.id}/remove")
    assert db.session.query(CourseSkill).count() == 0


def test_reviewers_see_what_waits_with_suggestions(client, editor):
    skill = make_skill("sound design")
    taught = propose(editor, "sound designs")
    sign_in(client, make_staff("reviewer", locale="en"))
    page = client.get("/staff/skills").text
    assert "1 proposal waits." in page
    assert f'value="{skill.id}"' in page
    assert client.get(f"/staff/skills?for={taught.id}&q=sound").status_code == 200

    client.post(f"/staff/skills/{taught.id}", data={"decision": "map", "skill": skill.id})

    assert taught.skill is skill
    assert "No skill is waiting" in client.get("/staff/skills").text
    assert client.post("/staff/skills/999999", data={"decision": "accept"}).status_code == 404


def test_skills_of_others_do_not_exist(client, editor):
    other = make_course()
    with transaction():
        taught = add(CourseSkill(course_id=other.id, free_text="theirs"))
    foreign = f"/desk/courses/{other.public_id}/skills"
    own = f"/desk/courses/{editor.course.public_id}/skills"

    assert client.get(foreign).status_code == 404
    assert client.post(foreign, data={"words": "mine"}).status_code == 404
    assert client.post(f"{own}/{taught.id}/remove").status_code == 404
    assert client.post(f"/staff/skills/{taught.id}", data={"decision": "accept"}).status_code == 403
    with pytest.raises(NotFound):
        alignments.propose_skill(editor.course.id, 999_999, actor=editor, now=clock.now())


def test_esco_is_searched(app, shared_data):
    skills.import_esco((shared_data / "esco" / "digitalSkillsCollection_en.csv").read_bytes())

    assert alignments.find_skills("digital image processing")[0].label_en == "digital image processing"
