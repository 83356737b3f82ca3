"""What buyers see of funding: an estimate at the course, then the net price with its reasons before they press."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import select

from marketplace.enrolment import course_funding
from marketplace.enrolment.models import Order
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.funding import programmes
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt
from marketplace.funding.subsidy_rules import Rule
from tests.factories import make_person, make_run, make_staff, sign_in
from tests.funding.made import make_programme

SHANGHAI = Rule(percent=50, regions=("310000",), industries=("R",), attendance_percent=80, owed_percent=50)


@pytest.fixture(autouse=True)
def _english(client):
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"


def enter(client, **person):
    someone = make_person(locale="en", **person)
    sign_in(client, someone)
    return someone


def hidden(page):
    """The hidden fields of the form, as a browser sends them."""
    return dict(re.findall(r'name="(\w+)" type="hidden" value="([^"]*)"', page))


def test_a_visitor_sees_an_estimate_with_its_conditions(client):
    run = make_run()
    programme = make_programme(rule=SHANGHAI, name_en="Shanghai fund")
    make_programme(rule=Rule(percent=90, modes=("online",)))

    page = client.get(f"/courses/{run.course.public_id}").text

    assert "You may pay from CN¥640.00" in page
    assert "You work in Shanghai; Your sector is Culture" in page
    assert f"/funding/{programme.public_id}" in page


def test_no_estimate_is_shown_where_the_run_says_nothing_that_completes_it(client):
    run = make_run()
    make_programme(rule=SHANGHAI)
    address = f"/courses/{run.course.public_id}"
    assert "You may pay from" in client.get(address).text
    with transaction():
        run.completion_attendance_percent = None
    assert "You may pay from" not in client.get(address).text


def test_a_visitor_sees_no_estimate_of_a_programme_that_was_closed_or_pays_less_now(client, queries):
    run, officer = make_run(), make_staff("funding_officer")
    programme = make_programme(rule=SHANGHAI)
    address = f"/courses/{run.course.public_id}"

    def told():
        # As a few seconds later.
        course_funding._open_now.values.clear()
        return re.findall("You may pay from (CN¥[0-9.]+)", client.get(address).text)

    assert told() == ["CN¥640.00"]
    queries.clear()
    client.get(address)
    assert len(queries) == 1
    programmes.write_draft(programme.id, replace(SHANGHAI, percent=25), actor_id=officer.id, now=clock.now())
    programmes.publish_draft(programme.id, actor_id=officer.id, now=clock.now())
    assert told() == ["CN¥960.00"]
    programmes.close(programme.id, is_closed=True, actor_id=officer.id, now=clock.now())
    assert told() == []


def test_the_course_page_tells_the_net_price_to_who_has_signed_in(client):
    run = make_run()
    make_programme(rule=SHANGHAI)
    enter(client, region="310000", industry_code="8850")

    assert "You pay CN¥640.00" in client.get(f"/courses/{run.course.public_id}").text


def test_nothing_is_told_of_a_programme_that_cannot_pay(client):
    run = make_run()
    make_programme(rule=SHANGHAI)
    enter(client, region="110000", industry_code="8850")

    assert "You pay" not in client.get(f"/courses/{run.course.public_id}").text


def test_the_net_price_comes_with_reasons_and_with_what_would_be_owed(client):
    run = make_run()
    make_programme(rule=SHANGHAI, name_en="Shanghai fund")
    enter(client, region="310000", industry_code="8850")

    page = client.get(f"/runs/{run.public_id}/enrol").text

    for sentence in (
        "Shanghai fund pays CN¥640.00",
        "You work in Shanghai",
        "You attend at least 80% of the sessions",
        "If the conditions fail: you owe CN¥320.00.",
        "I agree that Bureau is told my name",
        "region, sector",
    ):
        assert sentence in page, sentence


def test_missing_answers_are_named_with_the_way_to_the_profile(client):
    run = make_run()
    make_programme(rule=SHANGHAI, name_en="Shanghai fund")
    enter(client, region="310000")

    page = client.get(f"/runs/{run.public_id}/enrol").text

    assert "Shanghai fund may pay CN¥640.00: something is missing" in page
    assert 'href="/account"' in page
    assert "CN¥640.00</dd>" not in page


def test_nobody_is_sent_to_their_profile_for_a_programme_that_cannot_pay(client):
    run = make_run()
    make_programme(rule=SHANGHAI, name_en="Shanghai fund")
    enter(client, region="110000")

    page = client.get(f"/runs/{run.public_id}/enrol").text
    assert ("Shanghai fund does not pay here" in page, "something is missing" in page) == (True, False)


def test_a_subsidised_seat_is_ordered_with_consent(client):
    run, programme = make_run(), make_programme(rule=SHANGHAI)
    person = enter(client, region="310000", industry_code="8850")
    address = f"/runs/{run.public_id}/enrol"
    sent = hidden(client.get(address).text)
    assert sent["programme"] == programme.public_id

    answer = client.post(address, data=sent)
    assert (answer.status_code, "only if you agree" in answer.text) == (409, True)
    answer = client.post(address, data=sent | {"agrees": "y"})

    order = db.session.scalars(select(Order)).one()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/orders/{order.public_id}")
    subsidy = db.session.scalars(select(Subsidy)).one()
    assert (order.total_minor, subsidy.amount_minor, subsidy.person_id) == (64000, 64000, person.id)
    assert subsidy.consent.text.startswith("I agree that Bureau is told")
    outcomes = [one.outcome for one in db.session.scalars(select(SubsidyAttempt).order_by(SubsidyAttempt.id))]
    assert outcomes == ["refused", "accepted"]
    page = client.get(f"/orders/{order.public_id}").text
    assert "Subsidy by Bureau" in page
    assert "If the conditions fail: you owe CN¥320.00." in page


def test_a_buyer_may_pay_everything_or_choose_another_programme(client):
    run = make_run()
    make_programme(rule=Rule(percent=50), name_en="Large fund")
    small = make_programme(rule=Rule(percent=20), name_en="Small fund")
    enter(client)
    address = f"/runs/{run.public_id}/enrol"
    sent = hidden(client.get(address).text)

    page = client.post(f"{address}/price", data=sent | {"choose": small.public_id}).text
    assert "Small fund pays CN¥256.00" in page
    assert hidden(page)["programme"] == small.public_id

    page = client.post(f"{address}/price", data=sent | {"choose": "none"}).text
    assert hidden(page)["programme"] == "none"
    assert client.post(address, data=hidden(page)).status_code == 303
    assert db.session.scalars(select(Order)).one().total_minor == 128000


def test_a_programme_closed_meanwhile_is_told_and_the_price_shown_anew(client):
    run, programme = make_run(), make_programme()
    enter(client)
    address = f"/runs/{run.public_id}/enrol"
    sent = hidden(client.get(address).text) | {"agrees": "y"}
    programmes.close(programme.id, is_closed=True, actor_id=make_person().id, now=clock.now())

    answer = client.post(address, data=sent)

    assert answer.status_code == 409
    assert "This funding programme is not open." in answer.text
    assert hidden(answer.text)["shown_due_minor"] == "128000"
    assert db.session.scalars(select(Order)).all() == []


def test_a_code_that_is_refused_leaves_the_subsidy_in_the_price(client):
    run = make_run()
    make_programme(name_en="Large fund")
    enter(client)
    address = f"/runs/{run.public_id}/enrol"

    answer = client.post(f"{address}/price", data=hidden(client.get(address).text) | {"voucher_code": "NO-SUCH-CODE"})
    assert (answer.status_code, "We do not know this code." in answer.text) == (422, True)
    assert "Paid by the subsidy" in answer.text
    assert hidden(answer.text)["shown_due_minor"] == "64000"


def test_what_can_be_mended_on_the_page_does_not_send_one_away(client):
    run = make_run()
    make_programme(name_en="Large fund")
    enter(client)
    address = f"/runs/{run.public_id}/enrol"

    page = client.post(address, data=hidden(client.get(address).text)).text
    assert "only if you agree" in page
    assert "See the other dates of this course" not in page
