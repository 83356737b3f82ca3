from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.enrolment.seat_models import SeatPool, WaitingRule
from marketplace.foundation import clock
from marketplace.foundation.database import db
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff, sign_in


@pytest.fixture
def provider(app):
    return make_organisation()


@pytest.fixture
def run(provider):
    return make_run(make_course(provider), capacity=10)


@pytest.fixture
def registrar(client, provider):
    someone = make_member(provider, "registrar")
    sign_in(client, someone)
    return someone


def form(**values):
    day = clock.now() + timedelta(days=9)
    given = {"kind": "campaign", "size": "4", "audience": "code", "code": "spring 2027", "last_day": f"{day:%Y-%m-%d}"}
    return given | values


def test_seats_are_kept_changed_and_released(client, registrar, run):
    address = f"/runs/{run.public_id}/seats"
    assert "All seats are public" in client.get(f"{address}?lang=en").text

    assert client.post(f"{address}/new", data=form()).location == address
    [pool] = db.session.query(SeatPool)
    assert (pool.size, pool.taken, pool.created_by_id) == (4, 0, registrar.id)
    assert pool.release_at.astimezone(run.tzinfo).strftime("%H:%M") == "00:00"
    page = client.get(f"{address}?lang=en").text
    assert "4 kept for an audience" in page
    assert "0 / 4" in page

    edit = f"{address}/{pool.public_id}"
    assert f'value="{form()["last_day"]}"' in client.get(edit).text
    assert client.post(edit, data=form(size="5", code="")).location == address
    assert (pool.size, pool.code_hash is None) == (5, False)
    assert client.post(f"{edit}/release").location == address
    assert "Released" in client.get(f"{address}?lang=en").text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": "11"}, "Only 10 more seats can be kept"),
        ({"size": "0"}, "At least one."),
        ({"code": ""}, "Choose a code"),
        ({"code": "short"}, "At least six characters."),
        ({"audience": "organisation"}, "Choose the organisation below."),
        ({"audience": "email_domain"}, "Enter the domain below."),
        ({"audience": "email_domain", "email_domain": "nowhere"}, "Enter a domain"),
        ({"last_day": ""}, "Fill this in."),
    ],
)
def test_a_pool_that_cannot_be_kept_says_why(client, registrar, run, change, sentence):
    answer = client.post(f"/runs/{run.public_id}/seats/new?lang=en", data=form(**change))

    assert answer.status_code == 422
    assert sentence in answer.text
    assert db.session.query(SeatPool).count() == 0


def test_the_link_of_a_pool_opens_its_seats(client, registrar, run):
    client.post(f"/runs/{run.public_id}/seats/new", data=form(size="10"))
    sign_in(client, make_person())

    assert "This run is sold out." in client.get(f"/runs/{run.public_id}/enrol?lang=en").text
    page = client.get(f"/runs/{run.public_id}/enrol?lang=en&seats=SPRING2027").text
    assert "A seat is kept for people like you" in page
    assert "Take the seat" in page


def test_the_rule_of_the_list_is_saved(client, registrar, run):
    address = f"/runs/{run.public_id}/seats"

    assert client.post(address, data={"first": "pool_audience", "offer_hours": "6"}).location == address
    [rule] = db.session.query(WaitingRule)
    assert (rule.first, rule.offer_hours) == ("pool_audience", 6)
    assert client.post(address, data={"first": "time", "offer_hours": "500"}).status_code == 422


def test_whose_seats_they_are(client, run):
    address = f"/runs/{run.public_id}/seats"
    doors = [address, f"{address}/new", f"{address}/000000000000"]

    for someone, status in (
        (make_person(), [404, 404, 404]),
        (make_member(make_organisation(), "registrar"), [404, 404, 404]),
        (make_staff("reviewer"), [200, 200, 404]),
    ):
        sign_in(client, someone)
        assert [client.get(door).status_code for door in doors] == status
