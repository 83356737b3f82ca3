"""Many invited at once, learners who act for nobody, and leaving."""

import io

import pytest

from marketplace.accounts import consents, invitation_lists, organisations
from marketplace.accounts.models import Invitation
from marketplace.accounts.organisations import LastOwner
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid
from tests.factories import make_member, make_organisation, sign_in


@pytest.fixture
def employer(app):
    return make_organisation(kind="employer")


@pytest.fixture
def owner(employer):
    return make_member(employer, "owner", locale="en")


def results(employer, owner, content):
    told = invitation_lists.invite_all(employer, content, role="learner", actor=owner, now=clock.now())
    return [(row.number, row.email, row.refusal is None) for row in told]


def test_every_row_is_tried_by_itself(employer, owner):
    content = "Name,E-Mail,email\n李,x,li@example.com\n王,x,nonsense\n,,\n赵,x,LI@example.com\n钱,x,qian@example.com\n"
    expected = [(2, "li@example.com", True), (3, "nonsense", False), (4, "LI@example.com", False)]
    assert results(employer, owner, content.encode("gb18030")) == [*expected, (5, "qian@example.com", True)]
    assert sorted(row.email for row in db.session.query(Invitation)) == ["li@example.com", "qian@example.com"]


def test_a_list_of_addresses_needs_no_heading(employer, owner):
    assert results(employer, owner, b"a@example.com\nb@example.com\n") == [
        (2, "a@example.com", True),
        (3, "b@example.com", True),
    ]


@pytest.mark.parametrize(
    "content", [b"", b"name,phone\nLi,1\n", b"email\n" + b"a@example.com\n" * 501, b"\xff\xff\xff"]
)
def test_what_is_no_such_file(employer, owner, content):
    with pytest.raises(Invalid):
        results(employer, owner, content)
    assert db.session.query(Invitation).count() == 0


def test_by_page_with_a_report(client, employer, owner):
    sign_in(client, owner)
    path = f"/organisations/{employer.public_id}/invitations/file"
    assert client.get(path).status_code == 200
    assert client.post(path, data={"role": "learner"}).status_code == 422
    file = (io.BytesIO(b"email\nli@example.com\nnonsense\n"), "people.csv")
    page = client.post(path, data={"role": "learner", "file": file}, content_type="multipart/form-data").text
    assert "1 of 2 rows invited" in page


def test_a_learner_sees_nothing_of_others_and_may_leave(client, employer, owner):
    learner = make_member(employer, "learner", locale="en")
    sign_in(client, learner)
    consents.share(learner, employer, language="en", now=clock.now())
    for page in ("members", "training", "edit"):
        assert client.get(f"/organisations/{employer.public_id}/{page}").status_code == 403

    assert client.post(f"/organisations/{employer.public_id}/leave").status_code == 303
    assert not consents.is_shared(learner.id, employer.id)
    assert client.post(f"/organisations/{employer.public_id}/leave").status_code == 404


def test_the_last_owner_stays(employer, owner):
    with pytest.raises(LastOwner):
        organisations.leave(employer, owner, now=clock.now())


def test_who_is_taken_out_shares_no_longer(employer, owner):
    learner = make_member(employer, "learner")
    consents.share(learner, employer, language="en", now=clock.now())
    organisations.remove_role(employer, learner.public_id, "learner", actor=owner, now=clock.now())
    assert consents.sharing_people(employer.id) == set()
