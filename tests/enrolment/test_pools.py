from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from marketplace.catalog import trail
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import counting, orders, places, pools, seats, waiting
from marketplace.enrolment.models import Enrolment, SeatHold
from marketplace.enrolment.pools import PoolWish
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.rules import HOLD_FOR, RunFull
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, one_row, transaction
from marketplace.foundation.errors import Invalid, Refused
from tests.buying import place_order
from tests.factories import make_member, make_organisation, make_person, make_run, make_staff, sign_in

DAY = timedelta(days=1)


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


@pytest.fixture
def sponsor(app):
    return make_organisation(kind="employer")


def keep(run, now, size=1, **values):
    given = {"kind": "sponsor", "audience": "organisation", "size": size, "release_at": now + DAY} | values
    return pools.create_pool(run.id, PoolWish(**given), actor_id=None, now=now)


def take(run, person, *, now, code=None):
    return place_order(
        run.id,
        person.id,
        shown_price=run.price,
        request_key=ids.public_id(),
        locale="zh",
        now=now,
        asked=Asked(seat_code=code),
    )


def counted(run):
    """Capacity's parts as the database has them: taken, kept, and what the pools say."""
    db.session.expire_all()
    row = db.session.get_one(CourseRun, run.id)
    return row.seats_taken, row.seats_kept, [(pool.taken, pool.unused) for pool in pools.list_pools(run.id)]


def test_kept_seats_are_taken_by_their_audience_alone(now, sponsor):
    run = make_run(capacity=2)
    keep(run, now, organisation_id=sponsor.id)
    member, other = make_member(sponsor, "registrar"), make_member(sponsor, "registrar")

    take(run, make_person(), now=now)
    with pytest.raises(RunFull):
        take(run, make_person(), now=now)
    order = take(run, member, now=now)
    assert counted(run) == (2, 0, [(1, 0)])
    with pytest.raises(RunFull):
        take(run, other, now=now)

    orders.cancel_order(order.id, actor_id=member.id, now=now)
    assert counted(run) == (1, 1, [(0, 1)])
    assert seats.hold_seat(run.id, other.id, now=now).pool_id is not None


def test_an_audience_may_be_an_address_or_a_code(now):
    run = make_run(capacity=2)
    keep(run, now, audience="email_domain", email_domain=" Students.Example ", kind="co_provider")
    keep(run, now, audience="code", code="Spring 2027", kind="campaign")

    with pytest.raises(RunFull):
        take(run, make_person(), now=now)
    with pytest.raises(RunFull):
        take(run, make_person(), now=now, code="autumn 2027")
    take(run, make_person(email="li@students.example"), now=now)
    take(run, make_person(), now=now, code="spring2O27")
    assert counted(run) == (2, 0, [(1, 0), (1, 0)])


def test_the_people_of_a_pool_take_public_seats_once_it_is_used_up(now, sponsor):
    run = make_run(capacity=2)
    keep(run, now, organisation_id=sponsor.id)

    take(run, make_member(sponsor, "registrar"), now=now)
    take(run, make_member(sponsor, "registrar"), now=now)
    assert counted(run) == (2, 0, [(1, 0)])


def test_unused_seats_are_everyones_from_the_day_on(now, sponsor):
    run = make_run(capacity=1)
    keep(run, now, organisation_id=sponsor.id)

    with pytest.raises(RunFull):
        take(run, make_person(), now=now + DAY - timedelta(seconds=1))
    take(run, make_person(), now=now + DAY)
    assert counted(run) == (1, 0, [(0, 0)])


@pytest.mark.parametrize(
    ("zone", "last_day", "released"),
    [
        ("Asia/Shanghai", "2026-02-28", datetime(2026, 2, 28, 16, tzinfo=UTC)),
        # London's clocks go back that night: its day is 25 hours long.
        ("Europe/London", "2026-10-25", datetime(2026, 10, 26, 0, tzinfo=UTC)),
        ("America/New_York", "2026-12-31", datetime(2027, 1, 1, 5, tzinfo=UTC)),
    ],
)
def test_seats_are_kept_to_the_end_of_the_last_day_where_the_run_is(client, sponsor, zone, last_day, released):
    clock.set_to(datetime(2026, 1, 10, tzinfo=UTC))
    window = {"enrol_opens_at": clock.now(), "enrol_closes_at": released + DAY}
    run = make_run(capacity=1, zone=zone, starts_at=released + 9 * DAY, ends_at=released + 20 * DAY, **window)
    sign_in(client, make_staff("administrator"))
    form = {"kind": "sponsor", "size": "1", "audience": "organisation", "organisation": sponsor.public_id}
    client.post(f"/runs/{run.public_id}/seats/new", data=form | {"last_day": last_day})

    with pytest.raises(RunFull):
        take(run, make_person(), now=released - timedelta(microseconds=1))
    assert take(run, make_person(), now=released).state == "awaiting_payment"


def test_the_job_releases_what_nobody_asked_for(now, sponsor):
    run = make_run(capacity=3)
    keep(run, now, size=2, organisation_id=sponsor.id)
    order = take(run, make_member(sponsor, "registrar"), now=now)

    assert pools.release_due(now=now) == 0
    assert pools.release_due(now=now + DAY) == 1
    assert counted(run) == (1, 0, [(1, 0)])

    orders.cancel_order(order.id, actor_id=None, now=now + DAY)
    assert counted(run) == (0, 0, [(0, 0)])


def test_an_enrolment_remembers_its_pool(now, sponsor):
    run = make_run(capacity=1, price_minor=0)
    pool = keep(run, now, organisation_id=sponsor.id)
    order = take(run, make_member(sponsor, "registrar"), now=now)

    assert [row.pool_id for row in db.session.query(Enrolment)] == [pool.id]
    places.end_of_order(order.id, "refunded", now=now, actor_id=None)
    assert counted(run) == (0, 1, [(0, 1)])


def test_an_expired_hold_goes_back_to_its_pool(now, sponsor):
    run = make_run(capacity=1)
    keep(run, now, organisation_id=sponsor.id)
    take(run, make_member(sponsor, "registrar"), now=now)

    assert seats.sweep_expired_holds(now=now + HOLD_FOR) == 1
    assert counted(run) == (0, 1, [(0, 1)])
    assert db.session.query(SeatHold).filter_by(ended_at=None).count() == 0


def test_no_more_can_be_kept_than_is_free(now, sponsor):
    run = make_run(capacity=2)
    take(run, make_person(), now=now)

    with pytest.raises(Invalid, match="too_many_kept"):
        keep(run, now, size=2, organisation_id=sponsor.id)
    pool = keep(run, now, organisation_id=sponsor.id)
    wish = PoolWish("sponsor", "organisation", 2, now + DAY, organisation_id=sponsor.id)
    with pytest.raises(Invalid, match="too_many_kept"):
        pools.change_pool(pool.id, wish, actor_id=None, now=now)


def test_the_database_refuses_more_kept_seats_than_the_capacity(now, sponsor):
    run = make_run(capacity=1)
    pool = keep(run, now, organisation_id=sponsor.id)

    statement = "UPDATE seat_pool SET size = 2 WHERE id = %(id)s RETURNING id"
    with pytest.raises(Refused, match="ck_course_run_seats_within_capacity"), transaction():
        one_row(statement, {"id": pool.id})


def test_a_pool_is_not_made_smaller_than_what_is_taken(now, sponsor):
    run = make_run(capacity=3)
    pool = keep(run, now, size=2, organisation_id=sponsor.id)
    for _ in range(2):
        take(run, make_member(sponsor, "registrar"), now=now)

    with pytest.raises(Invalid, match="ck_seat_pool_taken_within_size"):
        pools.change_pool(
            pool.id,
            PoolWish("sponsor", "organisation", 1, now + DAY, organisation_id=sponsor.id),
            actor_id=None,
            now=now,
        )


def test_seats_are_not_kept_until_a_day_that_is_over(now, sponsor):
    run = make_run(capacity=2)
    with pytest.raises(Invalid, match="release_over"):
        keep(run, now, organisation_id=sponsor.id, release_at=now)
    pool = keep(run, now, organisation_id=sponsor.id)
    wish = PoolWish("sponsor", "organisation", 2, now, organisation_id=sponsor.id)
    with pytest.raises(Invalid, match="release_over"):
        pools.change_pool(pool.id, wish, actor_id=None, now=now)
    assert counted(run) == (0, 1, [(0, 1)])


def test_releasing_by_hand_and_twice(now, sponsor):
    run = make_run(capacity=2)
    pool = keep(run, now, size=2, organisation_id=sponsor.id)

    for _ in range(2):
        pools.release_pool(pool.id, actor_id=None, now=now)
    assert counted(run) == (0, 0, [(0, 0)])
    with pytest.raises(Invalid, match="pool_released"):
        pools.change_pool(
            pool.id,
            PoolWish("sponsor", "organisation", 1, now + DAY, organisation_id=sponsor.id),
            actor_id=None,
            now=now,
        )


def test_a_code_is_needed_and_kept_as_a_hash(now):
    run = make_run()

    with pytest.raises(Invalid, match="code_missing"):
        keep(run, now, audience="code")
    pool = keep(run, now, audience="code", code="museum")
    assert pool.code_hash == counting.code_hash("MUSEUM")
    changed = pools.change_pool(pool.id, PoolWish("campaign", "code", 1, now + DAY), actor_id=None, now=now)
    assert changed.code_hash == counting.code_hash("museum")


def test_a_pool_that_is_to_be_opened_by_a_code_needs_one(now, sponsor):
    run = make_run(capacity=2)
    pool = keep(run, now, organisation_id=sponsor.id)
    wish = PoolWish("sponsor", "code", 1, now + DAY)

    with pytest.raises(Invalid, match="code_missing"):
        pools.change_pool(pool.id, wish, actor_id=None, now=now)

    pools.change_pool(pool.id, replace(wish, code="museum-2026"), actor_id=None, now=now)
    assert pools.change_pool(pool.id, wish, actor_id=None, now=now).code_hash == counting.code_hash("museum-2026")


def history_of(run):
    return [(event.kind, event.actor_id, event.details["changed"]) for event in trail.list_events(run.course_id)[0]]


def test_who_changed_and_released_kept_seats_is_kept(client, now, sponsor):
    run, officer = make_run(capacity=5), make_staff("administrator")
    sign_in(client, officer)
    form = {"kind": "sponsor", "size": "2", "audience": "organisation", "organisation": sponsor.public_id}
    form |= {"last_day": (run.starts_at - DAY).date().isoformat()}
    client.post(f"/runs/{run.public_id}/seats/new", data=form)
    [pool] = pools.list_pools(run.id)
    address = f"/runs/{run.public_id}/seats/{pool.public_id}"
    for _twice in range(2):
        client.post(address, data=form | {"audience": "code", "code": "museum-2026"})
    for _twice in range(2):
        client.post(f"{address}/release")

    found = history_of(run)
    assert [(kind, actor) for kind, actor, _changed in found] == [
        ("pool_released", officer.id),
        ("pool_changed", officer.id),
        ("pool_created", officer.id),
    ]
    assert found[0][2] == {"seats_kept": [2, 0]}
    assert found[1][2] == {
        "pool_audience": ["organisation", "code"],
        "pool_organisation": [sponsor.name_zh, None],
        "pool_code": [None, "•••"],
    }
    sign_in(client, make_member(run.course.providers[0].organisation, "registrar"))
    page = client.get(f"/desk/courses/{run.course.public_id}/history?lang=en").text
    assert "Kept seats given to everyone" in page
    assert "Whoever has a code" in page
    assert "museum-2026" not in page


def test_a_release_is_kept_where_every_kept_seat_is_taken(now, sponsor):
    run = make_run(capacity=2)
    pool = keep(run, now, organisation_id=sponsor.id)
    take(run, make_member(sponsor, "registrar"), now=now)

    pools.release_pool(pool.id, actor_id=None, now=now)

    kind, _actor, changed = history_of(run)[0]
    assert (kind, changed) == ("pool_released", {"seats_kept": [1, 1]})


def test_a_pool_that_is_used_up_is_released_on_its_day_as_well(now, sponsor):
    run = make_run(capacity=1)
    pool = keep(run, now, organisation_id=sponsor.id)
    order = take(run, make_member(sponsor, "registrar"), now=now)
    waiting.join(run.id, (stranger := make_person()).id, seat_code=None, now=now)
    waiting.join(run.id, make_member(sponsor, "registrar").id, seat_code=None, now=now)

    later = now + DAY
    assert pools.release_due(now=later) == 1
    assert pools.release_due(now=later) == 0
    db.session.expire_all()
    assert pool.released_at == later

    # A seat that comes back goes to whoever is first, not to the audience it was kept for until then.
    orders.cancel_order(order.id, actor_id=None, now=later)
    assert waiting.find_place(run.id, stranger.id).position is None


def test_who_changed_the_rule_of_a_waiting_list_is_kept(client, now):
    run, officer = make_run(capacity=5), make_staff("administrator")
    sign_in(client, officer)
    for _twice in range(2):
        client.post(f"/runs/{run.public_id}/seats", data={"first": "pool_audience", "offer_hours": "24"})
    assert history_of(run) == [("waiting_rule", officer.id, {"waiting_first": ["time", "pool_audience"]})]
