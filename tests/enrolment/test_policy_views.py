"""Pages of cancellation terms: previewed, put in force, ended; who may; what is sold keeps its own."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DatabaseError

from marketplace.enrolment import policies
from marketplace.enrolment.change_models import RefundPolicy
from marketplace.enrolment.refund_rules import Tier
from marketplace.foundation import clock
from marketplace.foundation.database import db, savepoint
from tests.enrolment.test_cancellations import bought
from tests.factories import make_course, make_member, make_organisation, make_person, make_run, make_staff, sign_in


@pytest.fixture
def provider(app):
    return make_organisation()


@pytest.fixture
def run(provider):
    return make_run(make_course(provider))


@pytest.fixture
def registrar(client, provider):
    someone = make_member(provider, "registrar")
    sign_in(client, someone)
    return someone


TYPED = {"days_1": "21", "kept_1": "0", "days_2": "5", "kept_2": "40", "deferral_days": "4", "withdrawal_days": "7"}


def test_a_provider_looks_at_terms_puts_them_in_force_and_ends_them(client, provider, run, registrar):
    address = f"/providers/{provider.public_id}/cancellation"
    assert "The marketplace’s own terms hold here" in client.get(f"{address}?lang=en").text

    looked = client.post(f"{address}?lang=en", data=TYPED | {"look": "yes"})
    assert (looked.status_code, "Until 21 days before the start" in looked.text) == (200, True)
    assert "not in force yet" in looked.text
    assert policies.list_versions(organisation_id=provider.id) == []

    assert client.post(address, data=TYPED | {"submit": "yes"}).location == address
    [row] = policies.list_versions(organisation_id=provider.id)
    assert (policies.as_terms(row).tiers, row.deferral_days, row.withdrawal_days, row.created_by_id) == (
        (Tier(21, 0), Tier(5, 40)),
        4,
        7,
        registrar.id,
    )
    assert policies.terms_for_sale(run).version == row.id

    assert client.post(f"{address}/end").location == address
    assert (row.ended_at is None, row.ended_by_id) == (False, registrar.id)
    assert policies.terms_for_sale(run).version == policies.HOUSE
    assert client.get(address).status_code == 200


def test_a_run_has_terms_of_its_own_until_it_follows_its_provider_again(client, provider, run, registrar):
    address = f"/runs/{run.public_id}/cancellation"
    now = clock.now()
    of_provider = policies.set_for_provider(
        provider.id, [Tier(9, 10)], withdrawal_days=14, deferral_days=2, actor_id=registrar.id, now=now
    )
    assert "This run follows the terms of" in client.get(f"{address}?lang=en").text

    assert client.post(address, data=TYPED | {"submit": "yes"}).location == address
    own = policies.terms_for_sale(run)
    # The right to withdraw stays the seller's, whatever a form of the run says.
    assert (own.tiers, own.withdrawal_days) == ((Tier(21, 0), Tier(5, 40)), 14)
    order, _enrolment = bought(run, now=now)
    assert order.lines[0].policy_id == own.version
    page = client.get(f"{address}?lang=en").text
    assert "This run has terms of its own" in page
    assert "CN¥768.00" in page

    assert client.post(f"{address}/end").location == address
    assert policies.terms_for_sale(run) == of_provider
    later, _enrolment = bought(run, now=now)
    assert [one.lines[0].policy_id for one in (order, later)] == [own.version, of_provider.version]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kept_1": "60"}, "Each later deadline must keep at least as much"),
        ({"kept_2": ""}, "Fill in both numbers of a deadline, or neither."),
        ({"kept_2": "101"}, "Between 0 and 100 per cent."),
        ({"days_1": "400"}, "Between 0 and 365 days."),
        ({"deferral_days": ""}, "Enter a number."),
        ({"withdrawal_days": "3"}, "Not a valid choice"),
    ],
)
@pytest.mark.parametrize("press", ["submit", "look"])
def test_terms_that_make_no_sense_say_why(client, provider, registrar, change, sentence, press):
    answer = client.post(f"/providers/{provider.public_id}/cancellation?lang=en", data=TYPED | change | {press: "yes"})

    assert answer.status_code == 422
    assert sentence in answer.text
    assert policies.list_versions(organisation_id=provider.id) == []


def test_whose_terms_they_are(client, provider, run):
    doors = [f"/providers/{provider.public_id}/cancellation", f"/runs/{run.public_id}/cancellation"]
    partner = make_member(make_organisation(), "owner")
    for someone, status in (
        (make_person(), 404),
        (partner, 404),
        (make_member(provider, "instructor"), 403),
        (make_member(provider, "finance"), 200),
        (make_member(provider, "owner"), 200),
        (make_staff("finance_officer"), 200),
        (make_staff("reviewer"), 404),
    ):
        sign_in(client, someone)
        assert [client.get(door).status_code for door in doors] == [status, status]
        if status != 200:
            assert [client.post(f"{door}/end").status_code for door in doors] == [status, status]
            assert [client.post(door, data=TYPED).status_code for door in doors] == [status, status]


def test_what_a_version_says_is_never_changed_and_ends_once(app, provider):
    now, actor = clock.now(), make_person().id
    made = policies.set_for_provider(provider.id, [], withdrawal_days=7, deferral_days=0, actor_id=actor, now=now)
    mine = update(RefundPolicy).where(RefundPolicy.id == made.version)
    policies.end_for_provider(provider.id, actor_id=actor, now=now)
    for change in ({"deferral_days": 9}, {"ended_at": None}):
        with pytest.raises(DatabaseError, match="append-only"), savepoint():
            db.session.execute(mine.values(**change))


def test_a_buyer_reads_the_terms_before_they_buy(client, run):
    sign_in(client, make_person())

    page = client.get(f"/runs/{run.public_id}/enrol?lang=en").text

    assert "If you cancel" in page
    assert "Later, before the start" in page
