"""Money a funder paid and wants back: after an audit, or since the order ended; owed first, then sent."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.funding import claims, clawing_back, subsidies
from marketplace.funding.clawing_back import Sending
from marketplace.funding.subsidy_models import SubsidyEvent
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.subsidy_states import State
from marketplace.payments import postings
from marketplace.payments.models import LedgerEntry
from tests.factories import make_person, make_staff
from tests.funding.made import committed, funder_paid, make_programme, make_subsidy

NOW = datetime(2026, 6, 1, 2, tzinfo=UTC)
EVIDENCE = {"attendance_percent": 90, "completed_at": "2026-05-01T08:00:00+00:00"}
OWES = Rule(percent=50, if_rejected="learner_owes", owed_percent=75)
pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture(autouse=True)
def at():
    clock.set_to(NOW)


@pytest.fixture
def officer():
    return make_staff("funding_officer")


def paid(programme, officer, **person):
    subsidy = make_subsidy(programme, make_person(**person))
    subsidies.earn(subsidy.id, EVIDENCE, now=clock.now())
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    claims.mark_paid(batch.id, funder_paid(64000, "ICBC-1"), actor_id=officer.id, now=clock.now())
    return subsidy


def sending(**values):
    return Sending(**({"sent_on": NOW.date(), "bank_reference": " ICBC-BACK ", "reason": "审计"} | values))


def letters():
    mails = db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id))
    return [mail.text for mail in mails if mail.message == "funding/ended"]


def booked():
    """The balances of the ledger that are not zero, once every step is posted."""
    postings.post_facts()
    total = func.sum(LedgerEntry.amount_minor)
    query = select(LedgerEntry.account, total).group_by(LedgerEntry.account).having(total != 0)
    return {account: int(minor) for account, minor in db.session.execute(query)}


def test_what_an_order_that_ended_had_been_paid_is_owed_back_until_it_is_sent(officer):
    programme = make_programme()
    subsidy = paid(programme, officer)
    subsidies.release(subsidy.order_line_id, "refunded", now=clock.now())
    assert booked() == {"bank": 64000, "subsidy_receivable": -64000}
    assert (subsidy.state, committed(programme)) == (State.CLAWED_BACK, 0)
    assert clawing_back.list_owed_back(programme.id) == [subsidy]

    clawing_back.send_back(subsidy.id, sending(), actor_id=officer.id, now=clock.now())

    assert booked() == {}
    assert (subsidy.state, committed(programme)) == (State.SENT_BACK, 0)
    assert clawing_back.list_owed_back(programme.id) == []
    last = subsidy.events[-1]
    assert (last.act, last.actor_id, last.evidence) == (
        "send_back", officer.id, {"bank_reference": "ICBC-BACK", "reason": "审计", "sent_on": "2026-06-01"},
    )  # fmt: skip
    with pytest.raises(Refused, match="subsidy_step"):
        clawing_back.send_back(subsidy.id, sending(), actor_id=officer.id, now=clock.now())


def test_what_is_sent_is_booked_on_the_day_of_the_bank(officer):
    programme = make_programme()
    subsidy = paid(programme, officer)
    clawing_back.claw_back(subsidy.id, reason="审计", actor_id=officer.id, now=clock.now())
    later = NOW + timedelta(days=5)

    for values, code in (
        ({"sent_on": (later + timedelta(days=1)).date()}, "future_day"),
        ({"sent_on": (NOW - timedelta(days=1)).date()}, "before_owed"),
        ({"bank_reference": " "}, "no_reference"),
        ({"reason": " "}, "no_reason"),
    ):
        with pytest.raises(Invalid, match=code):
            clawing_back.send_back(subsidy.id, sending(**values), actor_id=officer.id, now=later)
    clawing_back.send_back(
        subsidy.id, sending(sent_on=(NOW + timedelta(days=2)).date()), actor_id=officer.id, now=later
    )

    event = db.session.scalars(select(SubsidyEvent).filter_by(act="send_back")).one()
    assert event.occurred_at == datetime(2026, 6, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "owed", "books"),
    [
        (OWES, 48000, {"learner_receivable": 48000, "subsidy_cost": 16000}),
        (Rule(percent=50), 0, {"subsidy_cost": 64000}),
    ],
)
def test_a_funder_takes_back_what_it_paid_for_a_place_that_stays(officer, rule, owed, books):
    programme = make_programme(rule=rule)
    subsidy = paid(programme, officer, locale="en")

    clawing_back.claw_back(subsidy.id, reason="Audit: no contract", actor_id=officer.id, now=clock.now())

    assert (subsidy.state, subsidy.owed_minor, committed(programme)) == (State.REVOKED, owed, 0)
    place = {"unearned_subsidy": -64000}
    assert booked() == {"bank": 64000, "subsidy_receivable": -64000} | books | place
    [letter] = letters()
    assert "has taken back the CN¥640.00 it had paid" in letter
    assert "Audit: no contract" in letter
    assert ("you owe CN¥480.00" in letter, "You owe nothing." in letter) == (bool(owed), not owed)

    clawing_back.send_back(subsidy.id, sending(), actor_id=officer.id, now=clock.now())
    assert (subsidy.state, subsidy.owed_minor) == (State.REPAID, owed)
    assert booked() == books | place


@pytest.mark.parametrize("is_sent", [False, True])
def test_nobody_owes_or_bears_what_was_taken_back_once_the_place_ends(officer, is_sent):
    programme = make_programme(rule=OWES)
    subsidy = paid(programme, officer)
    clawing_back.claw_back(subsidy.id, reason="审计", actor_id=officer.id, now=clock.now())
    if is_sent:
        clawing_back.send_back(subsidy.id, sending(), actor_id=officer.id, now=clock.now())

    for _twice in range(2):
        subsidies.release(subsidy.order_line_id, "refunded", now=clock.now())

    assert subsidy.state == (State.SENT_BACK if is_sent else State.CLAWED_BACK)
    assert (subsidy.owed_minor, committed(programme)) == (0, 0)
    assert booked() == ({} if is_sent else {"bank": 64000, "subsidy_receivable": -64000})


def test_a_funder_takes_back_only_what_it_paid_and_says_why(officer):
    subsidy = make_subsidy(make_programme())

    with pytest.raises(Invalid, match="no_reason"):
        clawing_back.claw_back(subsidy.id, reason=" ", actor_id=officer.id, now=clock.now())
    with pytest.raises(Refused, match="subsidy_step"):
        clawing_back.claw_back(subsidy.id, reason="审计", actor_id=officer.id, now=clock.now())


def test_nobody_notes_money_of_their_own_subsidy(officer):
    subsidy = paid(make_programme(), officer)
    with pytest.raises(Refused, match="own_subsidy"):
        clawing_back.claw_back(subsidy.id, reason="审计", actor_id=subsidy.person_id, now=clock.now())

    clawing_back.claw_back(subsidy.id, reason="审计", actor_id=officer.id, now=clock.now())
    with pytest.raises(Refused, match="own_subsidy"):
        clawing_back.send_back(subsidy.id, sending(), actor_id=subsidy.person_id, now=clock.now())


def test_what_was_wrongly_earned_is_rejected_before_it_is_claimed(officer):
    programme = make_programme(rule=OWES)
    subsidy = make_subsidy(programme, make_person(locale="en"))
    subsidies.earn(subsidy.id, EVIDENCE, now=clock.now())

    subsidies.reject(subsidy.id, reason="The register was wrong", actor_id=officer.id, now=clock.now())

    assert (subsidy.state, subsidy.owed_minor, committed(programme)) == (State.REJECTED, 48000, 16000)
    assert booked() == {"learner_receivable": 48000, "subsidy_receivable": 16000, "unearned_subsidy": -64000}
    [letter] = letters()
    assert "The register was wrong" in letter
    assert "you owe CN¥480.00" in letter
