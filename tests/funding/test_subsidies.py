"""Subsidies: reserved with the order, earned by evidence, ended by their rule; every attempt is kept."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from marketplace.foundation import clock
from marketplace.foundation.database import db, savepoint, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.formats import format_date
from marketplace.foundation.mail import OutgoingMail
from marketplace.funding import claims, clawing_back, programmes, subsidies
from marketplace.funding.subsidies import SubsidyRefused
from marketplace.funding.subsidy_models import Subsidy, SubsidyAttempt, SubsidyConsent, SubsidyEvent
from marketplace.funding.subsidy_rules import Consequence, Rule
from marketplace.funding.subsidy_states import State
from tests.factories import make_person, make_staff
from tests.funding.made import ask, committed, day, make_line, make_programme, make_subsidy

pytestmark = pytest.mark.usefixtures("app")
LATER = timedelta(days=400)


def steps(subsidy):
    query = select(SubsidyEvent).filter_by(subsidy_id=subsidy.id).order_by(SubsidyEvent.id)
    return [(event.from_state, event.act, event.to_state) for event in db.session.scalars(query)]


def last_step(subsidy):
    query = select(SubsidyEvent).filter_by(subsidy_id=subsidy.id).order_by(SubsidyEvent.id.desc())
    return db.session.scalars(query).first()


def mails():
    return [
        (mail.message, mail.recipient) for mail in db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id))
    ]


def refused(programme, person, **values):
    """What `place_order` does with a refusal: the order is rolled back, the attempt is kept."""
    with pytest.raises(SubsidyRefused) as caught:
        make_subsidy(programme, person, **values)
    return subsidies.keep_refusal(caught.value, now=clock.now())


def earned(programme, **values):
    return subsidies.earn(make_subsidy(programme, **values).id, {"attendance_percent": 100}, now=clock.now())


def test_a_subsidy_is_reserved_with_its_attempt_and_consent():
    programme = make_programme(rule=Rule(percent=50, regions=("310000",)))
    person = make_person(region="310000")

    subsidy = make_subsidy(programme, person)

    assert (subsidy.state, subsidy.amount_minor, committed(programme)) == (State.RESERVED, 64000, 64000)
    assert steps(subsidy) == [(None, "apply", "applied"), ("applied", "approve", "reserved")]
    attempt = db.session.get_one(SubsidyAttempt, subsidy.attempt_id)
    assert (attempt.outcome, attempt.order_line_id, attempt.rule_id) == (
        "accepted", subsidy.order_line_id, subsidy.rule_id,
    )  # fmt: skip
    assert (attempt.buyer["region"], attempt.offer["skill_ids"]) == ("310000", [11, 12])
    assert [reason["code"] for reason in attempt.reasons] == ["applications", "region", "budget"]
    consent = db.session.get_one(SubsidyConsent, subsidy.consent_id)
    assert (consent.person_id, consent.text_version, consent.facts) == (person.id, 1, ["regions"])


def test_the_deadline_ends_with_a_day_of_the_programme():
    clock.set_to(datetime(2026, 5, 1, 12, tzinfo=UTC))
    subsidy = make_subsidy(make_programme(rule=Rule(percent=50, earn_within_days=30)))

    # The run ends on 7 June, thirty days later is 7 July, whose end in Shanghai is 16:00 UTC.
    assert subsidy.earn_by == datetime(2026, 7, 7, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "values", "code"),
    [
        ({"regions": ("310000",)}, {}, "subsidy_refused"),
        ({}, {"shown": 60000}, "subsidy_changed"),
        ({}, {"consent": None}, "consent_needed"),
    ],
)
def test_a_refused_attempt_is_kept_and_takes_nothing(rule, values, code):
    programme = make_programme(rule=Rule(percent=50, **rule))
    person = make_person(region="110000")

    attempt = refused(programme, person, **values)

    assert (attempt.outcome, attempt.refusal, attempt.order_line_id) == ("refused", code, None)
    assert attempt.buyer["region"] == "110000"
    assert (attempt.rule_id is not None, committed(programme)) == (True, 0)
    assert db.session.scalars(select(Subsidy)).all() == []


def test_a_programme_without_a_rule_in_force_or_closed_pays_nothing():
    closed = make_programme()
    programmes.close(closed.id, is_closed=True, actor_id=make_staff("funding_officer").id, now=clock.now())

    assert refused(closed, make_person()).refusal == "programme_closed"


@pytest.mark.parametrize(
    ("moment", "is_granted"),
    [
        (datetime(2026, 5, 31, 15, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 5, 31, 16, tzinfo=UTC), False),
        (datetime(2026, 4, 30, 15, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 4, 30, 16, tzinfo=UTC), True),
    ],
)
def test_applications_open_and_close_with_the_local_day(moment, is_granted):
    clock.set_to(moment)
    programme = make_programme(
        applications_from=day("2026-05-01"), applications_until=day("2026-05-31")
    )  # fmt: skip

    assert bool(programmes.list_open(now=moment)) is is_granted
    if is_granted:
        assert make_subsidy(programme).state == State.RESERVED
    else:
        assert refused(programme, make_person()).refusal == "subsidy_refused"


def test_the_budget_is_spent_to_the_last_fen_and_not_beyond():
    programme = make_programme(budget=128000)
    make_subsidy(programme)
    second = make_subsidy(programme)

    assert refused(programme, make_person()).reasons[-1]["verdict"] == "failed"

    subsidies.release(second.order_line_id, "expired", now=clock.now())
    assert committed(programme) == 64000
    make_subsidy(programme)
    assert committed(programme) == 128000


def test_the_database_has_the_last_word_on_the_budget():
    programme = make_programme(budget=100)

    with pytest.raises(Refused, match="within_budget"), transaction():
        programme.committed_minor = 101
        db.session.flush()


def test_the_cap_of_a_person_is_of_the_calendar_year():
    clock.set_to(datetime(2026, 12, 20, tzinfo=UTC))
    rule = Rule(percent=50, person_year_cap_minor=100000)
    programme = make_programme(rule=rule, applications_until=day("2027-06-01"))
    person = make_person()
    make_subsidy(programme, person)

    assert make_subsidy(programme, person, shown=36000).amount_minor == 36000
    assert refused(programme, person, shown=0).refusal == "subsidy_refused"
    clock.set_to(datetime(2026, 12, 31, 16, tzinfo=UTC))
    assert make_subsidy(programme, person).amount_minor == 64000


def test_a_review_holds_the_amount_until_an_officer_decides():
    programme = make_programme(rule=Rule(percent=50, needs_review=True))
    officer = make_staff("funding_officer")
    first, second = make_subsidy(programme), make_subsidy(programme)
    assert (first.state, committed(programme)) == (State.APPLIED, 128000)

    subsidies.approve(first.id, note="", actor_id=officer.id, now=clock.now())
    subsidies.reject(second.id, reason="材料不全", actor_id=officer.id, now=clock.now())

    assert (first.state, second.state) == (State.RESERVED, State.REJECTED)
    # By the rule's default a rejected subsidy is borne by the programme: it stays spent.
    assert (committed(programme), last_step(second).borne_minor) == (128000, 64000)
    assert mails() == [("funding/approved", first.person.email), ("funding/ended", second.person.email)]


def test_earned_by_evidence_with_a_deadline_to_claim():
    clock.set_to(datetime(2026, 5, 1, 12, tzinfo=UTC))
    programme = make_programme(rule=Rule(percent=50, claim_within_days=10))

    subsidy = earned(programme)

    assert (subsidy.state, subsidy.claim_by) == (State.EARNED, datetime(2026, 5, 11, 16, tzinfo=UTC))
    assert last_step(subsidy).evidence == {"attendance_percent": 100}
    assert subsidies.earn(subsidy.id, {}, now=clock.now()).state == State.EARNED
    assert len(steps(subsidy)) == 3


@pytest.mark.parametrize(
    ("rule", "owed", "held"),
    [
        ({}, 64000, 0),
        ({"if_lapsed": Consequence.BORNE}, 0, 64000),
        ({"owed_percent": 25}, 16000, 48000),
    ],
)
def test_a_lapsed_subsidy_follows_its_rule_and_tells_the_person(rule, owed, held):
    programme = make_programme(rule=Rule(percent=50, **rule))
    subsidy = make_subsidy(programme, make_person(locale="en"))

    subsidies.lapse(subsidy.id, {"attendance_percent": 20}, now=clock.now() + LATER)

    assert (subsidy.state, subsidy.owed_minor, committed(programme)) == (State.LAPSED, owed, held)
    event = last_step(subsidy)
    assert (event.owed_minor, event.borne_minor) == (owed, held)
    [mail] = db.session.scalars(select(OutgoingMail)).all()
    assert (mail.message, mail.recipient) == ("funding/ended", subsidy.person.email)
    assert "640.00" in mail.text
    assert ("By the conditions you agreed to" in mail.text) is (owed > 0)


def test_nothing_lapses_before_its_deadline():
    subsidy = make_subsidy(make_programme())

    with pytest.raises(Refused, match="not_lapsed"):
        subsidies.lapse(subsidy.id, {}, now=subsidy.earn_by - timedelta(seconds=1))
    assert subsidies.lapse(subsidy.id, {}, now=subsidy.earn_by).state == State.LAPSED


def test_a_version_decides_for_ever_what_it_decided():
    programme = make_programme(rule=Rule(percent=50))
    officer = make_staff("funding_officer")
    old = make_subsidy(programme)
    programmes.write_draft(
        programme.id, Rule(percent=50, if_lapsed=Consequence.BORNE), actor_id=officer.id, now=clock.now()
    )  # fmt: skip
    programmes.publish_draft(programme.id, actor_id=officer.id, now=clock.now())
    new = make_subsidy(programme, version=2)

    for subsidy in (old, new):
        subsidies.lapse(subsidy.id, {}, now=clock.now() + LATER)

    assert (old.rule_version.version, old.owed_minor) == (1, 64000)
    assert (new.rule_version.version, new.owed_minor) == (2, 0)


def test_what_was_not_claimed_in_time_is_never_the_learners():
    programme = make_programme()
    subsidy = earned(programme)

    assert claims.sweep_claims(now=subsidy.claim_by - timedelta(seconds=1)) == 0
    assert claims.sweep_claims(now=subsidy.claim_by) == 1
    assert (subsidy.state, subsidy.owed_minor, committed(programme)) == (State.LAPSED, 0, 64000)
    assert mails() == []


@pytest.mark.parametrize(("prepare", "state"), [(make_subsidy, "released"), (earned, "released")])
def test_an_order_that_ends_lets_its_subsidy_go(prepare, state):
    programme = make_programme()
    subsidy = prepare(programme)

    for _twice in range(2):
        subsidies.release(subsidy.order_line_id, "refunded", now=clock.now())

    assert (subsidy.state, committed(programme)) == (state, 0)
    assert last_step(subsidy).evidence == {"reason": "refunded"}
    assert [step[1] for step in steps(subsidy)].count("release") == 1
    assert subsidies.release(10**9, "refunded", now=clock.now()) is None


def test_an_application_is_withdrawn_with_its_order():
    subsidy = make_subsidy(make_programme(rule=Rule(percent=50, needs_review=True)))

    assert subsidies.release(subsidy.order_line_id, "cancelled", now=clock.now()).state == State.CANCELLED


def test_an_order_refunded_after_a_lapse_owes_nothing_more():
    programme = make_programme(rule=Rule(percent=50, owed_percent=25))
    subsidy = make_subsidy(programme)
    subsidies.lapse(subsidy.id, {}, now=clock.now() + LATER)

    subsidies.release(subsidy.order_line_id, "refunded", now=clock.now() + LATER)

    assert (subsidy.state, subsidy.owed_minor, committed(programme)) == (State.RELEASED, 0, 0)
    assert (last_step(subsidy).owed_minor, last_step(subsidy).borne_minor) == (-16000, -48000)


def test_an_officer_extends_a_deadline_to_a_later_day():
    subsidy = make_subsidy(make_programme())
    officer = make_staff("funding_officer")
    before = subsidy.earn_by

    with pytest.raises(Refused, match="not_later"):
        subsidies.extend(
            subsidy.id, (before - timedelta(days=1)).date(), reason="病假", actor_id=officer.id, now=clock.now()
        )
    subsidies.extend(
        subsidy.id, (before + timedelta(days=10)).date(), reason="病假", actor_id=officer.id, now=clock.now()
    )

    assert subsidy.earn_by == before + timedelta(days=10)
    assert (last_step(subsidy).act, last_step(subsidy).evidence) == ("extend", {"reason": "病假"})
    assert mails() == [("funding/extended", subsidy.person.email)]
    told = db.session.scalars(select(OutgoingMail)).one().text
    assert format_date(before + timedelta(days=9), "long") in told


def test_a_step_that_the_table_lacks_is_refused():
    subsidy = earned(make_programme())
    officer = make_staff("funding_officer")

    for act in (
        lambda: subsidies.approve(subsidy.id, note="", actor_id=officer.id, now=clock.now()),
        lambda: clawing_back.claw_back(subsidy.id, reason="no", actor_id=officer.id, now=clock.now()),
    ):
        with pytest.raises(Refused, match="subsidy_step"):
            act()


@pytest.mark.parametrize(
    "table",
    ["subsidy_event", "subsidy_attempt", "subsidy_consent", "funding_deposit", "programme_event", "funding_rule"],
)
def test_facts_are_never_changed(table):
    make_subsidy(make_programme())

    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET id = id + 0"):
        with pytest.raises(DatabaseError, match="append-only"), savepoint():
            db.session.execute(text(statement))


def test_a_line_is_subsidised_once():
    programme, person = make_programme(), make_person()
    line = make_line(person)
    subsidies.reserve(ask(programme, person), line, now=clock.now())

    with pytest.raises(Refused, match="uq_subsidy_order_line_id"):
        subsidies.reserve(ask(programme, person), line, now=clock.now())


def test_what_an_expired_order_let_go_is_promised_again_if_it_is_still_there():
    programme = make_programme(budget=100000)
    late = make_subsidy(programme)
    subsidies.release(late.order_line_id, "expired", now=clock.now())

    assert subsidies.reinstate(late.order_line_id, now=clock.now()) is True
    assert (late.state, committed(programme)) == (State.RESERVED, 64000)
    assert subsidies.reinstate(late.order_line_id, now=clock.now()) is True

    subsidies.release(late.order_line_id, "expired", now=clock.now())
    make_subsidy(programme)
    assert subsidies.reinstate(late.order_line_id, now=clock.now()) is False
    assert (late.state, committed(programme)) == (State.RELEASED, 64000)
    assert subsidies.reinstate(10**9, now=clock.now()) is True


def test_late_money_does_not_bring_back_a_first_course_beside_another():
    programme, person = make_programme(rule=Rule(percent=50, first_time_only=True)), make_person()
    late = make_subsidy(programme, person)
    subsidies.release(late.order_line_id, "expired", now=clock.now())
    newer = make_subsidy(programme, person)

    assert subsidies.reinstate(late.order_line_id, now=clock.now()) is False
    subsidies.release(newer.order_line_id, "expired", now=clock.now())
    assert subsidies.reinstate(late.order_line_id, now=clock.now()) is True


@pytest.mark.parametrize("how", ["rejected", "lapsed"])
def test_late_money_does_not_bring_back_what_was_refused_before(how):
    programme = make_programme()
    subsidy, officer = make_subsidy(programme), make_staff("funding_officer")
    if how == "rejected":
        subsidies.reject(subsidy.id, reason="no", actor_id=officer.id, now=clock.now())
    else:
        subsidies.lapse(subsidy.id, {}, now=subsidy.earn_by)
    subsidies.release(subsidy.order_line_id, "expired", now=clock.now())

    assert subsidies.reinstate(subsidy.order_line_id, now=clock.now()) is False
    assert (subsidy.state, committed(programme)) == (State.RELEASED, 0)


def test_a_first_course_is_first_once_even_before_it_is_paid():
    programme, person = make_programme(rule=Rule(percent=50, first_time_only=True)), make_person()
    first = make_subsidy(programme, person)

    assert refused(programme, person).refusal == "subsidy_refused"

    subsidies.release(first.order_line_id, "expired", now=clock.now())
    assert make_subsidy(programme, person).state == State.RESERVED
