from flask_login import current_user

from tests.factories import make_member, make_organisation, make_person, make_run, sign_in


def test_the_client_is_signed_in_as_the_person_given(app, client):
    person = make_person()

    with sign_in(client, person):
        client.post("/language", data={"language": "zh"})
        assert current_user == person


def test_a_member_holds_the_role_given(app):
    organisation = make_organisation()
    person = make_member(organisation, "editor")

    assert person.roles_in([organisation.id]) == {"editor"}


def test_a_run_has_its_course_provider_and_sessions(app):
    run = make_run(sessions=3)

    assert [session.position for session in run.sessions] == [1, 2, 3]
    assert run.ends_at == run.sessions[-1].ends_at
    assert len(run.course.organisation_ids) == 1
