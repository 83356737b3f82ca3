"""A run is cancelled, moved or merged under the people in it: everyone is told, chooses, and is settled."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from marketplace.catalog import search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import minimums, orders, returns, run_changes
from marketplace.enrolment.models import Enrolment
from marketplace.enrolment.run_change_models import RunChange, RunChangeAnswer
from marketplace.enrolment.run_change_rules import CHOICES, DEFAULTS, TRANSITIONS, AnswerState, Choice, RunChangeKind
from marketplace.enrolment.run_changes import Wanted
from marketplace.foundation import clock, ids, jobs
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.mail import OutgoingMail
from tests.buying import place_order
from tests.enrolment.test_cancellations import bought
from tests.factories import make_course, make_member, make_person, make_run, sign_in


@pytest.fixture
def now(app):
    moment = clock.now().replace(microsecond=0)
    clock.set_to(moment)
    return moment


def filled(people, *, now, **other):
    """A run with so many people, another run of its course, and the people's enrolments."""
    course = make_course()
    run, target = make_run(course), make_run(course, **other)
    return run, target, [bought(run, now=now)[1] for _ in range(people)]


def announce(run, kind, *, now, **wanted):
    return run_changes.announce(run.id, Wanted(kind, "讲师生病", **wanted), actor_id=make_person().id, now=now)


def answer_of(enrolment):
    return db.session.query(RunChangeAnswer).filter_by(enrolment_id=enrolment.id).one()


def told():
    return db.session.query(OutgoingMail).filter_by(message="enrolment/run_changed").count()


def active_in(run):
    return db.session.query(Enrolment).filter_by(run_id=run.id, ended_at=None).count()


def test_everyone_in_a_cancelled_run_is_told_and_gets_everything_back(now):
    run, _target, people = filled(3, now=now)
    waiting = place_order(
        run.id, make_person().id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now
    )

    change = announce(run, RunChangeKind.CANCELLED, now=now)
    jobs.run_pending()
    assert (run.state, change.people_told, change.people_settled, told()) == ("cancelled", 3, 0, 3)
    assert waiting.state == "cancelled"
    assert active_in(run) == 3

    clock.set_to(change.answer_by)
    jobs.run_pending()
    assert (change.people_settled, change.finished_at, active_in(run), told()) == (3, change.answer_by, 0, 3)
    facts = [fact for place in people for fact in returns.list_facts(place.sources[0].order_line.order_id)]
    assert [(fact.amount_minor, fact.reason) for fact in facts] == [(128000, "cancelled:provider")] * 3


def test_a_person_chooses_another_date_and_pays_nothing_more(now):
    run, target, [first, second] = filled(2, now=now, price_minor=150000)
    change = announce(run, RunChangeKind.CANCELLED, now=now)
    jobs.run_pending()

    run_changes.choose(answer_of(first).public_id, "move", target_run_id=target.id, actor_id=first.person_id, now=now)
    assert (active_in(target), first.end_reason, change.people_settled) == (1, "deferred", 1)
    with pytest.raises(Refused):
        run_changes.choose(answer_of(first).public_id, "refund", target_run_id=None, actor_id=first.person_id, now=now)
    with pytest.raises(Invalid):
        run_changes.choose(answer_of(second).public_id, "stay", target_run_id=None, actor_id=second.person_id, now=now)


def test_a_moved_run_takes_its_sessions_along_and_silence_means_staying(now):
    run, _target, [place] = filled(1, now=now)
    before = [session.starts_at for session in run.sessions]
    by = timedelta(days=7)

    change = announce(run, RunChangeKind.MOVED, now=now, starts_at=run.starts_at + by, place_en="Hall 2")
    jobs.run_pending()
    assert [session.starts_at for session in run.sessions] == [moment + by for moment in before]
    assert (run.place_en, change.before["place_en"]) == ("Hall 2", "")
    clock.set_to(change.answer_by)
    jobs.run_pending()
    assert (place.ended_at, answer_of(place).state, change.finished_at) == (None, "settled", change.answer_by)


def test_those_who_fail_keep_the_reason_and_are_driven_again(client, now):
    run, target, people = filled(3, now=now, capacity=2)
    change = announce(run, RunChangeKind.MERGED, now=now, target_run_id=target.id)
    jobs.run_pending()
    clock.set_to(change.answer_by)
    jobs.run_pending()

    assert (change.people_settled, active_in(target), change.finished_at) == (2, 2, None)
    [failed] = db.session.query(RunChangeAnswer).filter_by(state="failed")
    assert (failed.problem, failed.enrolment.ended_at) == ("run_full", None)
    registrar = make_member(run.course.providers[0].organisation, "registrar")
    sign_in(client, registrar)
    page = client.get(f"/manage/run-changes/{change.public_id}?lang=en").text
    assert "The other run is full" in page
    assert 'value="2" max="3"' in page
    table = client.get(f"/manage/run-changes/{change.public_id}.csv?lang=en").data.decode("utf-8-sig")
    assert len(table.splitlines()) == 4
    target.capacity = 3
    db.session.flush()
    client.post(f"/manage/run-changes/{change.public_id}/again")
    jobs.run_pending()
    db.session.expire_all()
    assert db.session.get(RunChange, change.id).people_settled == 3
    assert active_in(db.session.get(CourseRun, target.id)) == 3
    assert len(people) == 3


def test_what_a_person_chose_stays_settled_when_the_job_comes_to_it_late(now):
    run, _target, [first, second] = filled(2, now=now)
    change = announce(run, RunChangeKind.MOVED, now=now, starts_at=run.starts_at + timedelta(days=1))
    jobs.run_pending()
    chosen = answer_of(first)
    run_changes.choose(chosen.public_id, "stay", target_run_id=None, actor_id=first.person_id, now=now)

    # The job read its list of open answers before the person chose.
    run_changes.settle(chosen.id, Choice.REFUND, None, actor_id=None, now=now)
    assert (chosen.state, chosen.problem, chosen.choice, first.ended_at) == ("settled", None, "stay", None)
    assert run_changes.drive_again(change.public_id, now=now) == 0
    assert (change.people_settled, change.finished_at, answer_of(second).state) == (1, None, "told")


def test_an_answer_follows_its_table(now):
    run, _target, [place] = filled(1, now=now)
    announce(run, RunChangeKind.CANCELLED, now=now)
    answer = answer_of(place)
    for state, following in TRANSITIONS.items():
        for after in set(AnswerState) - following:
            answer.__dict__["state"] = state
            with pytest.raises(ValueError, match=f"from {state} to {after}"):
                answer.state = after


def test_a_job_that_runs_twice_tells_and_settles_once(now):
    run, _target, [place] = filled(1, now=now)
    change = announce(run, RunChangeKind.CANCELLED, now=now)
    clock.set_to(change.answer_by)
    for _ in range(2):
        run_changes.work.func.inner(change_id=change.id)

    assert (told(), change.people_told, change.people_settled) == (1, 1, 1)
    assert place.end_reason == "cancelled"


@pytest.mark.parametrize("state", ["started", "cancelled"])
def test_a_run_that_started_or_is_cancelled_is_not_changed(now, state):
    run = make_run()
    if state == "cancelled":
        announce(run, RunChangeKind.CANCELLED, now=now)
    with pytest.raises(Refused):
        announce(run, RunChangeKind.CANCELLED, now=run.starts_at if state == "started" else now)


def test_the_choice_page_is_the_persons_own(client, now):
    run, target, [place] = filled(1, now=now)
    announce(run, RunChangeKind.CANCELLED, now=now)
    address = f"/my/run-changes/{answer_of(place).public_id}"
    sign_in(client, make_person())
    assert client.get(address).status_code == 404
    sign_in(client, place.person)
    assert "讲师生病" in client.get(address).text
    assert client.post(address, data={"choice": "stay"}).status_code == 422
    assert client.post(address, data={"choice": "move", "target": target.public_id}).status_code == 303
    assert "已办理完毕" in client.get(address).text


def test_only_runs_to_come_are_offered_to_merge_into(client, now):
    run, target, _people = filled(1, now=now)
    day = timedelta(days=1)
    over = make_run(run.course, starts_at=now - 30 * day, ends_at=now - 20 * day)
    sign_in(client, make_member(run.course.providers[0].organisation, "registrar"))

    page = client.get(f"/manage/runs/{run.public_id}/changes").text
    assert (f'value="{target.public_id}"' in page, f'value="{over.public_id}"' in page) == (True, False)


def test_merging_is_no_button_where_there_is_nothing_to_merge_into(client, now):
    run = make_run()
    sign_in(client, make_member(run.course.providers[0].organisation, "registrar"))
    day = (run.starts_at - timedelta(days=2)).date()
    client.post(f"/manage/runs/{run.public_id}/minimum", data={"minimum": "5", "decide_by": day.isoformat()})
    page = client.get(f"/manage/runs/{run.public_id}/changes").text
    assert ('value="confirmed"' in page, "decision-target" in page) == (True, False)
    assert [button for button in re.findall(r"<button[^>]*>", page) if "merged" in button] == []


def test_only_its_provider_and_finance_staff_change_a_run(client, now):
    run = make_run()
    sign_in(client, make_member(make_run().course.providers[0].organisation, "owner"))
    assert client.get(f"/manage/runs/{run.public_id}/changes").status_code == 404
    sign_in(client, make_member(run.course.providers[0].organisation, "registrar"))
    form = {"kind": "cancelled", "reason": "Flood"}
    answer = client.post(f"/manage/runs/{run.public_id}/changes", data=form)
    assert answer.status_code == 303
    assert "Everyone is settled" in client.get(f"{answer.location}?lang=en").text


def test_a_minimum_is_reminded_of_before_its_day_and_after_it_and_decided_once(client, now):
    run, _target, [place] = filled(1, now=now)
    registrar = make_member(run.course.providers[0].organisation, "registrar")
    sign_in(client, registrar)
    day = (now + timedelta(days=2)).astimezone(UTC).date()
    answer = client.post(f"/manage/runs/{run.public_id}/minimum", data={"minimum": "5", "decide_by": day.isoformat()})
    assert answer.status_code == 303
    [(row, people)] = minimums.list_open(now=now)
    assert (row.minimum, people, row.decide_by > now) == (5, 1, True)
    assert [minimums.remind_all(now=now) for _ in range(2)] == [1, 0]
    assert [minimums.remind_all(now=row.decide_by + timedelta(hours=hour)) for hour in range(2)] == [1, 0]
    first, overdue = db.session.query(OutgoingMail).filter_by(message="enrolment/decide_minimum").order_by("id")
    assert ("已经过期" in first.text, "已经过期" in overdue.text, "已经过期" in overdue.html) == (False, True, True)
    assert "Course" in client.get("/manage/decisions?lang=en").text

    client.post(f"/manage/runs/{run.public_id}/decision", data={"decision": "cancelled"})
    with pytest.raises(Refused, match="decided"):
        minimums.decide(run.id, "confirmed", actor_id=None, now=now)
    change = db.session.query(RunChange).one()
    clock.set_to(change.answer_by)
    jobs.run_pending()
    assert (place.end_reason, change.people_settled) == ("cancelled", 1)


def test_nobody_is_reminded_of_a_run_that_is_off_or_has_begun(now):
    for kind in (RunChangeKind.CANCELLED, None):
        run, _target, _people = filled(1, now=now)
        make_member(run.course.providers[0].organisation, "registrar")
        minimums.set_minimum(run.id, 5, decide_by=now + timedelta(days=1), now=now)
        if kind:
            announce(run, kind, now=now)
    assert minimums.remind_all(now=now + timedelta(days=2)) == 1
    assert minimums.remind_all(now=run.starts_at) == 0


def test_a_run_that_is_moved_to_an_earlier_day_is_decided_about_before_it_starts(now):
    run, _target, _people = filled(1, now=now)
    minimums.set_minimum(run.id, 2, decide_by=run.starts_at - timedelta(days=1), now=now)
    earlier = run.starts_at - timedelta(days=5)
    announce(run, RunChangeKind.MOVED, now=now, starts_at=earlier)

    assert minimums.get(run.id).decide_by == earlier
    assert minimums.remind_all(now=earlier - timedelta(days=1)) == 1


def test_there_is_nothing_to_decide_about_a_run_that_is_off_or_has_begun(now):
    off, _target, _people = filled(1, now=now)
    run = make_run()
    for one in (off, run):
        minimums.set_minimum(one.id, 2, decide_by=now + timedelta(days=1), now=now)
    announce(off, RunChangeKind.CANCELLED, now=now)

    assert [row.run_id for row, _people in minimums.list_open(now=now)] == [run.id]
    assert minimums.list_open(now=run.starts_at) == []
    for one, when, why in ((off, now, "run_cancelled"), (run, run.starts_at, "run_started")):
        with pytest.raises(Refused, match=why):
            minimums.decide(one.id, "confirmed", actor_id=None, now=when)
    assert minimums.get(off.id).decided_at is None


def test_a_run_named_beside_a_cancellation_says_nothing(now):
    """The form sends whatever was chosen in the list of other runs, also when the run is cancelled."""
    run, target, _people = filled(1, now=now)
    minimums.set_minimum(run.id, 2, decide_by=now + timedelta(days=1), now=now)

    minimums.decide(run.id, "cancelled", target_run_id=target.id, actor_id=None, now=now)

    assert db.session.query(RunChange).one().target_run_id is None


def test_a_minimum_must_fit_the_run(now):
    run = make_run(capacity=3)
    for minimum, decide_by in (
        (4, now + timedelta(days=1)),
        (0, now + timedelta(days=1)),
        (2, run.starts_at + timedelta(1)),
    ):
        with pytest.raises(Invalid):
            minimums.set_minimum(run.id, minimum, decide_by=decide_by, now=now)
    assert minimums.set_minimum(run.id, 3, decide_by=run.starts_at, now=now)


def test_who_ordered_before_a_run_was_moved_and_paid_after_it_chooses_as_well(now):
    run, _target, _people = filled(1, now=now)
    order = place_order(
        run.id, make_person().id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now
    )
    orders.payment_pending(order.id, now=now)
    for minutes in (1, 2):
        moved = now + timedelta(minutes=minutes)
        change = announce(run, RunChangeKind.MOVED, now=moved, starts_at=run.starts_at + timedelta(days=7))
    clock.set_to(change.answer_by)
    jobs.run_pending()
    assert (change.finished_at, told()) == (clock.now(), 2)
    later = place_order(
        run.id, make_person().id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=clock.now()
    )
    for one in (order, later):
        orders.confirm_payment(one.id, attempt_public_id=f"late {one.id}", amount=one.total, now=clock.now())

    for _twice in range(2):
        run_changes.work_all(timestamp=0)
        jobs.run_pending()

    db.session.expire_all()
    place = db.session.query(Enrolment).filter_by(person_id=order.person_id).one()
    answer, change = answer_of(place), db.session.get_one(RunChange, change.id)
    assert (answer.run_change_id, answer.state, told()) == (change.id, "told", 3)
    assert (change.people_in_all, change.finished_at) == (2, None)
    assert db.session.query(RunChangeAnswer).count() == 3
    assert change.answer_by == clock.now() + timedelta(days=7)
    run_changes.choose(answer.public_id, "refund", target_run_id=None, actor_id=order.person_id, now=clock.now())
    assert (place.end_reason, change.finished_at) == ("cancelled", clock.now())


def test_every_default_can_be_chosen_and_settled_leads_nowhere():
    assert all(DEFAULTS[kind] in CHOICES[kind] for kind in RunChangeKind)
    assert TRANSITIONS[AnswerState.SETTLED] == frozenset()


def test_a_place_moves_within_its_course_and_currency_to_what_is_ahead(now):
    run, target, [place] = filled(1, now=now)
    announce(run, RunChangeKind.CANCELLED, now=now)
    jobs.run_pending()
    begun = make_run(run.course, starts_at=now - timedelta(days=1), enrol_closes_at=now - timedelta(days=2))
    others = {
        "other_course": make_run(price_minor=900000),
        "other_currency": make_run(run.course, currency="USD"),
        "other_started": begun,
    }

    for code, other in others.items():
        with pytest.raises(Refused, match=code):
            move_to(other, place, now=now)
    move_to(target, place, now=now)
    assert (active_in(target), place.end_reason) == (1, "deferred")


def move_to(run, place, *, now):
    answer = answer_of(place).public_id
    return run_changes.choose(answer, "move", target_run_id=run.id, actor_id=place.person_id, now=now)


def test_a_moved_run_keeps_its_hours_when_clocks_change_meanwhile(app):
    london = ZoneInfo("Europe/London")
    clock.set_to(datetime(2026, 9, 1, tzinfo=UTC))
    # Thursdays at seven in the evening; clocks go back on 25 October.
    starts_at = datetime(2026, 10, 1, 19, tzinfo=london)
    moments = {"enrol_closes_at": starts_at - timedelta(hours=2), "ends_at": starts_at + timedelta(days=21, hours=3)}
    run = make_run(sessions=4, starts_at=starts_at, zone="Europe/London", **moments)
    announce(run, RunChangeKind.MOVED, now=clock.now(), starts_at=starts_at + timedelta(days=7))

    days = [session.starts_at.astimezone(london) for session in run.sessions]
    assert [f"{day:%d %H:%M}" for day in days] == ["08 19:00", "15 19:00", "22 19:00", "29 19:00"]
    assert run.ends_at.astimezone(london) == run.sessions[-1].ends_at.astimezone(london)
    assert f"{run.enrol_closes_at.astimezone(london):%d %H:%M}" == "08 17:00"
    assert [session.ends_at - session.starts_at for session in run.sessions] == [timedelta(hours=3)] * 4


def test_a_run_is_moved_to_another_time_or_place_that_lies_ahead(now):
    run, _target, _people = filled(1, now=now)

    with pytest.raises(Refused, match="move_to_past"):
        announce(run, RunChangeKind.MOVED, now=now, starts_at=now - timedelta(days=1))
    with pytest.raises(Refused, match="moves_nothing"):
        announce(run, RunChangeKind.MOVED, now=now, starts_at=run.starts_at, place_en=run.place_en)
    with pytest.raises(Refused, match="merge_target"):
        begun = make_run(run.course, starts_at=now - timedelta(days=1), enrol_closes_at=now - timedelta(days=2))
        announce(run, RunChangeKind.MERGED, now=now, target_run_id=begun.id)
    assert db.session.query(RunChange).count() == 0


def test_what_was_chosen_stays_chosen_when_a_change_is_refused(client, now):
    run, target, _people = filled(1, now=now)
    sign_in(client, make_member(run.course.providers[0].organisation, "registrar"))

    sent = {"kind": "moved", "reason": "x", "target": target.public_id}
    answer = client.post(f"/manage/runs/{run.public_id}/changes?lang=en", data=sent)
    assert (answer.status_code, "Enter a new start or a new place." in answer.text) == (409, True)
    assert f'<option value="{target.public_id}" selected>' in answer.text


def test_money_in_dispute_does_not_go_back_a_second_time_because_the_run_is_off(now):
    run, _target, [place] = filled(1, now=now)
    orders.record(place.sources[0].order_line.order, "dispute_opened", now=now)
    change = announce(run, RunChangeKind.CANCELLED, now=now)
    jobs.run_pending()
    clock.set_to(change.answer_by)
    jobs.run_pending()

    assert (answer_of(place).state, answer_of(place).problem) == ("failed", "disputed")
    assert returns.list_facts(place.sources[0].order_line.order_id) == []


def test_too_few_people_is_a_reason_in_the_words_of_who_reads_it(client, now):
    run, _target, [place] = filled(1, now=now)
    minimums.set_minimum(run.id, 5, decide_by=now + timedelta(days=3), now=now)
    minimums.decide(run.id, "cancelled", actor_id=make_person().id, now=now)
    jobs.run_pending()

    assert "报名人数不足" in db.session.query(OutgoingMail).filter_by(message="enrolment/run_changed").one().text
    sign_in(client, place.person)
    assert "Too few people have enrolled." in client.get(f"/my/run-changes/{answer_of(place).public_id}?lang=en").text


def test_the_catalogue_and_open_forms_follow_a_changed_run(now):
    run, target, _people = filled(1, now=now)
    target.starts_at = run.starts_at + timedelta(days=60)
    target.ends_at = target.starts_at + timedelta(days=9)
    search.index_course(run.course, now=now)
    entry, version = db.session.query(CourseEntry).filter_by(course_id=run.course_id), run.version
    first = entry.one().sort_start

    announce(run, RunChangeKind.CANCELLED, now=now)
    db.session.expire_all()
    assert entry.one().sort_start - first == timedelta(days=60) // timedelta(microseconds=1)
    assert run.version == version + 1


def test_a_run_is_cancelled_for_want_of_people_only_after_a_second_look(client, now):
    run, _target, _people = filled(2, now=now)
    sign_in(client, make_member(run.course.providers[0].organisation, "registrar"))
    day = (run.starts_at - timedelta(days=2)).date()
    client.post(f"/manage/runs/{run.public_id}/minimum", data={"minimum": "5", "decide_by": day.isoformat()})
    page = client.get(f"/manage/runs/{run.public_id}/changes?lang=en").text
    [hidden] = re.findall(r"<details><summary>Cancel it for want of people</summary>(.*?)</details>", page, re.DOTALL)
    assert "2 people are told by mail" in hidden
    assert 'value="cancelled"' in hidden
