from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import offers, orders, places, pools, rules, seats, waiting
from marketplace.enrolment.pools import PoolWish
from marketplace.enrolment.rules import RunFull, Settlement
from marketplace.enrolment.seat_models import First, WaitingEntry, WaitingState
from marketplace.foundation import clock, ids, jobs
from marketplace.foundation.database import add, db, transaction
from marketplace.foundation.errors import NotFound, Refused
from marketplace.foundation.mail import OutgoingMail
from tests.buying import place_order
from tests.factories import make_course, make_member, make_organisation, make_person, make_run

HOURS = timedelta(hours=offers.OFFER_HOURS)


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


def take(run, person, *, now):
    return place_order(run.id, person.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)


def wait(run, person=None, *, now, code=None):
    return waiting.join(run.id, (person or make_person()).id, seat_code=code, now=now)


@pytest.fixture
def full(now):
    """A run of one seat, sold; and its order."""
    run = make_run(capacity=1)
    return run, take(run, make_person(), now=now)


def states(run):
    db.session.expire_all()
    entries = db.session.query(WaitingEntry).filter_by(run_id=run.id).order_by(WaitingEntry.id)
    return [entry.state for entry in entries]


def cancel(order, *, now):
    orders.cancel_order(order.id, actor_id=None, now=now)


def test_a_seat_given_up_is_offered_to_the_first_who_waits(full, now):
    run, order = full
    first, second = make_person(), make_person()
    entry = wait(run, first, now=now)
    wait(run, second, now=now)
    assert [waiting.find_place(run.id, person.id).position for person in (first, second)] == [1, 2]

    cancel(order, now=now)

    assert states(run) == ["offered", "waiting"]
    assert (entry.hold.until, run.seats_taken) == (now + HOURS, 1)
    assert waiting.find_place(run.id, first.id).position is None
    assert waiting.find_place(run.id, second.id).position == 1
    jobs.run_pending()
    [mail] = db.session.query(OutgoingMail).filter_by(recipient=first.email)
    assert mail.subject.startswith("为您保留了一个名额")


def test_no_seat_of_a_withdrawn_course_is_offered(full, now):
    run, order = full
    wait(run, now=now)
    with transaction():
        run.course.state = "withdrawn"
    cancel(order, now=now)
    assert (states(run), offers.offer_all(now=now)) == (["waiting"], 0)

    # Back in the catalogue, it is.
    with transaction():
        run.course.state = "published"
    assert (offers.offer_all(now=now), states(run)) == (1, ["offered"])


def test_a_seat_on_offer_is_sold_to_nobody_else(full, now):
    run, order = full
    first = make_person()
    wait(run, first, now=now)
    cancel(order, now=now)

    with pytest.raises(RunFull):
        take(run, make_person(), now=now)
    accepted = take(run, first, now=now)
    assert (accepted.expires_at, states(run)) == (now + HOURS, ["accepted"])


def test_an_offer_taken_at_its_last_minute_leaves_time_to_pay(full, now):
    run, order = full
    first = make_person()
    wait(run, first, now=now)
    cancel(order, now=now)

    late = now + HOURS - timedelta(minutes=1)
    accepted = take(run, first, now=late)
    assert (accepted.expires_at, accepted.hold.until) == (late + rules.HOLD_FOR, late + rules.HOLD_FOR)


def test_an_offer_stands_until_its_last_moment_and_not_beyond(full, now):
    run, order = full
    first, second = make_person(), make_person()
    for person in (first, second):
        wait(run, person, now=now)
    cancel(order, now=now)

    with pytest.raises(RunFull):
        take(run, second, now=now + HOURS - timedelta(microseconds=1))
    with pytest.raises(RunFull):
        take(run, first, now=now + HOURS)
    assert take(run, second, now=now + HOURS).state == "awaiting_payment"
    assert states(run) == ["expired", "accepted"]


def test_an_offer_that_expires_passes_on(full, now):
    run, order = full
    for _ in range(2):
        wait(run, now=now)
    cancel(order, now=now)

    assert seats.sweep_expired_holds(now=now + HOURS - timedelta(seconds=1)) == 0
    assert seats.sweep_expired_holds(now=now + HOURS) == 1
    assert states(run) == ["expired", "offered"]


def test_an_expired_offer_goes_to_the_next_before_a_newcomer(full, now):
    run, order = full
    for _ in range(2):
        wait(run, now=now)
    cancel(order, now=now)

    newcomer = make_person()
    with pytest.raises(RunFull):
        take(run, newcomer, now=now + HOURS)
    with transaction():
        seats.sweep_expired_holds(now=now + HOURS)
    assert states(run) == ["expired", "offered"]


def test_declining_passes_on_and_leaving_closes_the_gap(full, now):
    run, order = full
    first, second, third = make_person(), make_person(), make_person()
    entries = [wait(run, person, now=now) for person in (first, second, third)]
    waiting.leave(entries[1].public_id, second.id, now=now)
    assert waiting.find_place(run.id, third.id).position == 2

    cancel(order, now=now)
    for _ in range(2):
        waiting.leave(entries[0].public_id, first.id, now=now)
    assert states(run) == ["declined", "left", "offered"]
    with pytest.raises(NotFound):
        waiting.leave(entries[2].public_id, first.id, now=now)


def test_an_unpaid_order_frees_its_seat_for_those_who_wait(full, now):
    run, _order = full
    wait(run, now=now)

    orders.expire_orders(now=now + rules.HOLD_FOR)
    assert states(run) == ["offered"]


def test_a_refund_frees_its_seat_for_those_who_wait(full, now):
    run, order = full
    orders.confirm_payment(order.id, attempt_public_id="a", amount=order.total, now=now)
    wait(run, now=now)

    places.end_of_order(order.id, "refunded", now=now, actor_id=None)
    assert states(run) == ["offered"]


def test_late_money_is_settled_before_its_own_seat_is_passed_on(full, now):
    run, order = full
    wait(run, now=now)

    late = now + rules.HOLD_FOR
    assert (
        orders.confirm_payment(order.id, attempt_public_id="a", amount=order.total, now=late)
        is Settlement.REHOLD_AND_CONFIRM
    )
    assert states(run) == ["waiting"]


def test_late_money_takes_the_seat_that_is_offered_to_the_same_person(full, now):
    run, order = full
    late = now + rules.HOLD_FOR
    orders.expire_orders(now=late)
    other = take(run, make_person(), now=late)
    wait(run, order.person, now=late)
    cancel(other, now=late)
    assert states(run) == ["offered"]

    verdict = orders.confirm_payment(order.id, attempt_public_id="a", amount=order.total, now=late)
    assert verdict is Settlement.REHOLD_AND_CONFIRM
    assert (states(run), order.state, run.seats_taken) == (["accepted"], "confirmed", 1)


def test_who_is_enrolled_by_late_money_waits_no_longer(full, now):
    run, order = full
    late = now + rules.HOLD_FOR
    orders.expire_orders(now=late)
    take(run, make_person(), now=late)
    wait(run, order.person, now=late)

    later = late + rules.HOLD_FOR
    verdict = orders.confirm_payment(order.id, attempt_public_id="a", amount=order.total, now=later)
    assert (verdict, states(run)) == (Settlement.REHOLD_AND_CONFIRM, ["accepted"])


def test_a_raised_capacity_makes_several_offers_at_once(full, now):
    run, _order = full
    for _ in range(3):
        wait(run, now=now)
    with transaction():
        db.session.get_one(CourseRun, run.id).capacity = 3

    with pytest.raises(RunFull):
        take(run, make_person(), now=now)
    assert offers.offer_all(now=now) == 2
    assert states(run) == ["offered", "offered", "waiting"]


def test_offers_stop_with_enrolment(full, now):
    run, order = full
    for _ in range(2):
        wait(run, now=now)
    closes_at = run.enrol_closes_at

    cancel(order, now=closes_at - timedelta(hours=1))
    [entry, _] = db.session.query(WaitingEntry).filter_by(run_id=run.id).order_by(WaitingEntry.id)
    assert entry.hold.until == closes_at

    seats.sweep_expired_holds(now=closes_at)
    assert states(run) == ["expired", "waiting"]
    assert offers.offer_all(now=closes_at) == 0
    assert states(run) == ["expired", "lapsed"]
    clock.set_to(closes_at)
    jobs.run_pending()
    assert "enrolment/waiting_ended" in [mail.message for mail in db.session.query(OutgoingMail)]


def test_a_cancelled_run_ends_its_list_and_its_offers(full, now):
    run, order = full
    for _ in range(2):
        wait(run, now=now)
    cancel(order, now=now)
    with transaction():
        db.session.get_one(CourseRun, run.id).state = "cancelled"

    offers.offer_all(now=now)
    assert (states(run), run.seats_taken) == (["lapsed", "lapsed"], 0)


def test_who_may_wait(full, now):
    run, order = full
    buyer, person = order.person, make_person()

    with pytest.raises(Refused, match="seat_held"):
        wait(run, buyer, now=now)
    with pytest.raises(Refused, match="seat_free"):
        wait(make_run(), person, now=now)
    with pytest.raises(Refused, match="enrolment_closed"):
        wait(run, person, now=run.enrol_closes_at)
    provider = make_organisation()
    with pytest.raises(Refused, match="own_course"):
        wait(make_run(make_course(provider), capacity=0), make_member(provider, "instructor"), now=now)
    orders.confirm_payment(order.id, attempt_public_id="a", amount=order.total, now=now)
    with pytest.raises(Refused, match="already_enrolled"):
        wait(run, buyer, now=now)
    assert wait(run, person, now=now).id == wait(run, person, now=now).id


def test_nobody_waits_in_more_lists_than_they_mean(now):
    person = make_person()
    for _ in range(waiting.MOST_AT_ONCE):
        wait(make_run(capacity=0), person, now=now)

    with pytest.raises(Refused, match="too_many_lists"):
        wait(make_run(capacity=0), person, now=now)
    waiting.leave(waiting.list_places(person.id)[0].entry.public_id, person.id, now=now)
    assert wait(make_run(capacity=0), person, now=now).state == WaitingState.WAITING


def test_a_runs_rule_may_put_the_people_of_its_pools_first(full, now):
    run, order = full
    sponsor = make_organisation(kind="employer")
    with transaction():
        db.session.get_one(CourseRun, run.id).capacity = 2
    pools.create_pool(
        run.id,
        PoolWish("sponsor", "organisation", 1, now + HOURS * 9, organisation_id=sponsor.id),
        actor_id=None,
        now=now,
    )
    take(run, make_member(sponsor, "registrar"), now=now)
    anyone, member = make_person(), make_member(sponsor, "registrar")
    wait(run, anyone, now=now)
    wait(run, member, now=now)
    assert waiting.find_place(run.id, member.id).position == 2

    waiting.set_rule(run.id, first=First.POOL_AUDIENCE, offer_hours=2, actor_id=None, now=now)
    assert waiting.find_place(run.id, member.id).position == 1
    cancel(order, now=now)
    assert states(run) == ["waiting", "offered"]
    assert waiting.find_place(run.id, member.id).entry.hold.until == now + timedelta(hours=2)


def test_a_seat_of_a_pool_is_offered_to_its_audience_alone(now):
    run, sponsor = make_run(capacity=1), make_organisation(kind="employer")
    pools.create_pool(
        run.id,
        PoolWish("sponsor", "organisation", 1, now + HOURS * 9, organisation_id=sponsor.id),
        actor_id=None,
        now=now,
    )
    order = take(run, make_member(sponsor, "registrar"), now=now)
    wait(run, now=now)
    wait(run, make_member(sponsor, "registrar"), now=now)

    cancel(order, now=now)
    assert states(run) == ["waiting", "offered"]
    pools.release_due(now=now + HOURS * 9)
    assert states(run) == ["waiting", "offered"]


def test_a_seat_of_a_pool_finds_its_audience_behind_any_number_of_others(now, queries):
    run, sponsor = make_run(capacity=1), make_organisation(kind="employer")
    wish = PoolWish("sponsor", "organisation", 1, now + HOURS * 9, organisation_id=sponsor.id)
    pools.create_pool(run.id, wish, actor_id=None, now=now)
    order = take(run, make_member(sponsor, "registrar"), now=now)
    with transaction():
        for _ in range(250):
            add(WaitingEntry(run_id=run.id, person_id=make_person().id, joined_at=now))
    entry = wait(run, make_member(sponsor, "registrar"), now=now)
    queries.clear()

    cancel(order, now=now)
    assert len(queries) < 60, queries
    assert db.session.get_one(WaitingEntry, entry.id).state == "offered"


def test_who_takes_a_seat_of_a_pool_while_waiting_leaves_the_list(full, now):
    run, _order = full
    member = make_member(make_organisation(kind="employer"), "registrar")
    wait(run, member, now=now)
    with transaction():
        db.session.get_one(CourseRun, run.id).capacity = 2
    offers.offer_all(now=now)

    take(run, member, now=now)
    assert states(run) == ["accepted"]


def test_a_state_follows_the_table(full, now):
    entry = wait(full[0], now=now)

    with pytest.raises(ValueError, match="from waiting to declined"):
        entry.state = WaitingState.DECLINED
