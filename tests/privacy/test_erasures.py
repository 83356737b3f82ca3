"""A person who is forgotten is named nowhere, and the books and figures stand as before."""

import io
import json
import zipfile
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from marketplace.accounts import consents, mailed_links, organisations, people, sign_ins, staff
from marketplace.accounts.models import Membership, Person
from marketplace.demo import loading  # noqa: F401 - the topmost room is loaded too, so that every table is there
from marketplace.enrolment import orders, waiting
from marketplace.enrolment.models import Enrolment, Order, RefundDue
from marketplace.foundation import bank_days, clock, ids, jobs
from marketplace.foundation.database import Base, add, db, transaction
from marketplace.foundation.errors import Invalid, NotFound, Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.foundation.personal_data import Identity
from marketplace.participation import completions, registers
from marketplace.participation.models import Attendance, Completion
from marketplace.participation.registers import Mark
from marketplace.participation.upload_models import AttendanceUpload, AttendanceUploadRow
from marketplace.payments import ledger, personal, unmatched
from marketplace.payments.desk_models import StaffAct
from marketplace.payments.models import Discrepancy, PaymentAttempt, Refund, StripeEvent
from marketplace.payments.unmatched_models import AnswerKind, BankMoney, Received, Said, UnmatchedAnswer
from marketplace.privacy import copies, erasures
from marketplace.privacy.models import Erasure
from tests.buying import place_order
from tests.factories import make_member, make_organisation, make_person, make_run, make_staff

PASSWORD = "seven quiet lanterns"
NAME, EMAIL, OLD = "Zhuge Mingxia", "mingxia@example.com", "zhuge.old@example.com"


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


@pytest.fixture
def person(now):
    """Someone who did everything one can do here, and of whom others wrote."""
    people.register(name=NAME, email=OLD, password=PASSWORD, locale="en", now=now)
    someone = people.find_by_email(OLD)
    with transaction():
        someone.confirmed_at = now
        someone.employer, someone.occupation = f"Studio {NAME}", "curator"
        someone.region, someone.district = "310000", "310101"
    jobs.run_pending()
    _move_to_new_address(someone, now)
    sign_ins.begin(someone, user_agent=f"Browser of {NAME}", address="203.0.113.9", is_remembered=True, now=now)
    _join_an_employer(someone, now)
    _learn(someone, now)
    copies.ask(someone, now=now)
    jobs.run_pending()
    return someone


def _move_to_new_address(someone, now):
    people.ask_for_new_email(someone, new_email=EMAIL, password=PASSWORD, now=now)
    with transaction():
        key = mailed_links.draw(someone, "change_email", EMAIL, now=now)
    people.change_email(key, now=now)


def _join_an_employer(someone, now):
    employer = make_organisation(kind="employer")
    owner = make_member(employer, "owner")
    organisations.invite(employer, email=EMAIL, role="instructor", actor=owner, now=now)
    with transaction():
        add(Membership(person_id=someone.id, organisation_id=employer.id, role="instructor"))
    consents.share(someone, employer, language="en", now=now)
    organisations.invite(employer, email="other@example.com", role="editor", actor=someone, now=now)


def _buy(someone, run, now):
    order = place_order(run.id, someone.id, shown_price=run.price, request_key=ids.public_id(), locale="en", now=now)
    attempt = f"cs_{order.public_id}"
    with transaction():
        paid = add(
            PaymentAttempt(
                order_id=order.id,
                state="paid",
                session_id=attempt,
                payment_intent_id=f"pi_{order.public_id}",
                amount_minor=order.total_minor,
                currency=order.currency,
                expires_at=now,
                paid_at=now,
            )
        )
        orders.confirm_payment(order.id, attempt_public_id=paid.public_id, amount=order.total, now=now)
        ledger.post(
            f"payment:{paid.public_id}",
            "payment",
            {ledger.STRIPE_BALANCE: order.total, ledger.UNEARNED_REVENUE: -order.total},
            order_id=order.id,
            occurred_at=now,
        )
        add(_event(attempt))
    return order, paid


def _event(session_id):
    payload = {"id": ids.public_id(), "type": "checkout.session.completed", "created": 1}
    details = {"name": NAME.upper(), "email": EMAIL}
    payload["data"] = {"object": {"id": session_id, "customer_details": details}}
    return StripeEvent(event_id=payload["id"], type=payload["type"], payload=payload, state="handled")


def _learn(someone, now):
    past = make_run(sessions=1, starts_at=now - timedelta(hours=4), ends_at=now - timedelta(hours=1))
    with transaction():
        # The window was open when they bought.
        past.enrol_closes_at = now + timedelta(minutes=1)
    _order, paid = _buy(someone, past, now)
    _buy(someone, make_run(), now)
    place_order(
        (third := make_run()).id, someone.id, shown_price=third.price, request_key="waiting", locale="en", now=now
    )
    place = db.session.query(Enrolment).filter_by(person_id=someone.id, run_id=past.id).one()
    registers.mark(
        past.sessions[0].id, {place.public_id: Mark("present", f"{NAME} was late")}, actor_id=someone.id, now=now
    )
    completions.record_due(past.id, now=now)
    full = make_run(capacity=1, seats_taken=1)
    waiting.join(full.id, someone.id, seat_code=None, now=now)
    with transaction():
        upload = add(AttendanceUpload(run_id=past.id, file_name="marks.csv", content=b"", rows_in_all=1))
        add(AttendanceUploadRow(upload_id=upload.id, number=2, email=EMAIL.title(), session="1", status="present"))
        officer = make_staff("finance_officer")
        add(StaffAct(person_id=officer.id, kind="test", subject="order:1", reason=f"{NAME} rang"))
    with transaction():
        settled = {"attempt_id": paid.id, "amount_minor": 100, "currency": "CNY", "state": "succeeded"}
        due = {"order_id": paid.order_id, "attempt_public_id": paid.public_id, "amount_minor": 100, "currency": "CNY"}
        fact = add(RefundDue(key="staff:1", reason="staff", **due))
        add(Refund(reason=f"{NAME} <{EMAIL}> was ill", settled_at=now, refund_due_id=fact.id, **settled))
        add(Discrepancy(kind="stuck_attempt", reference=paid.public_id, note=f"asked {NAME}", resolved_at=now))


def named_in(*words):
    """Every table and column of the database whose text holds one of the words."""
    columns = db.session.execute(
        text("""
        SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables
         USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
           AND (data_type IN ('text', 'jsonb', 'json', 'character varying', 'bytea') OR data_type = 'ARRAY')
        """)
    ).all()
    assert len(columns) > 100
    found = []
    for table, column in columns:
        value = f"encode({column}, 'escape')" if _is_bytes(table, column) else f'"{column}"::text'
        query = text(f'SELECT count(*) FROM "{table}" WHERE {value} ILIKE ANY (:words)')
        if db.session.execute(query, {"words": [f"%{word}%" for word in words]}).scalar():
            found.append(f"{table}.{column}")
    return sorted(found)


def _is_bytes(table, column):
    found = Base.metadata.tables.get(table)
    return found is not None and column in found.c and found.c[column].type.python_type is bytes


def test_the_walk_sees_where_a_person_is_named(person):
    seen = named_in(NAME, EMAIL, OLD)

    assert {"person.name", "person.email", "outgoing_mail.text", "invitation.email", "sign_in.user_agent"} <= set(seen)
    assert {"attendance.reason", "refund.reason", "discrepancy.note", "stripe_event.payload"} <= set(seen)
    assert {"mailed_link.email", "person.employer"} <= set(seen)
    assert {"staff_act.reason", "attendance_upload_row.email"} <= set(seen)


def test_a_person_who_is_forgotten_is_named_nowhere(person, now):
    erasures.forget(person.id, now=now)
    jobs.run_pending()

    left = db.session.query(OutgoingMail.message, OutgoingMail.recipient).all()
    assert named_in(NAME, EMAIL, OLD, "203.0.113.9") == [], left


def test_the_books_and_the_facts_stand_as_before(person, now):
    books = ledger.balances()
    facts = {model: db.session.query(model).count() for model in (Order, Attendance, Completion, Enrolment)}
    figures = _figures(now)
    erasures.forget(person.id, now=now)

    assert ledger.balances() == books
    assert {model: db.session.query(model).count() for model in facts} == facts
    assert _figures(now) == figures
    assert db.session.query(Attendance).one().status == "present"


def _figures(now):
    """Completions, which rest on the past run alone; its place stays though nobody is named any more."""
    return [(fact.completed_at, fact.enrolment.run_id) for fact in db.session.query(Completion)]


def test_places_to_come_are_freed_and_the_past_one_stays(person, now):
    erasures.forget(person.id, now=now)

    places = [
        (place.ended_at is None, place.run.seats_taken)
        for place in db.session.query(Enrolment).filter_by(person_id=person.id).order_by(Enrolment.id)
    ]
    assert places == [(True, 1), (False, 0)]
    states = [order.state for order in db.session.query(Order).filter_by(person_id=person.id).order_by(Order.id)]
    assert states == ["confirmed", "confirmed", "cancelled"]
    assert waiting.list_places(person.id) == []


def test_the_account_is_closed_and_its_address_free_again(person, now):
    erasures.forget(person.id, now=now)
    jobs.run_pending()

    row = db.session.get(Person, person.id)
    assert (row.active, row.password, row.erased_at, row.district) == (False, None, now, None)
    assert row.region == "310000", "a code shared by millions keeps last year's figures"
    people.register(name="Somebody Else", email=EMAIL, password=PASSWORD, locale="zh", now=now)
    assert people.find_by_email(EMAIL).id != person.id


def test_the_last_mail_is_sent_and_leaves_no_row(app, person, now):
    erasures.forget(person.id, now=now)
    assert [mail.message for mail in db.session.query(OutgoingMail).filter_by(recipient=EMAIL)] == ["privacy/deleted"]
    jobs.run_pending()
    assert db.session.query(OutgoingMail).filter_by(recipient=EMAIL).count() == 0


def test_grace_and_keeping_the_account(person, now):
    with pytest.raises(Invalid):
        erasures.ask(person, "not the password", now=now)
    erasures.ask(person, PASSWORD, now=now)
    with transaction():
        key = mailed_links.draw(person, erasures.PURPOSE, person.email, now=now)
    planned = erasures.confirm(key, now=now)
    assert (planned.due_at - now, sign_ins.list_open(person, now=now)) == (erasures.GRACE, [])

    assert erasures.carry_out_all(now=planned.due_at - timedelta(seconds=1)) == 0
    erasures.keep(person, now=now)
    assert erasures.carry_out_all(now=planned.due_at) == 0
    with pytest.raises(NotFound):
        erasures.keep(person, now=now)


def test_a_plan_is_carried_out_once_when_it_is_due(person, now):
    planned = erasures.order(EMAIL, "letter", actor=make_staff("administrator"), is_at_once=False, now=now)
    with pytest.raises(Refused, match="uq_erasure_open"):
        erasures.order(EMAIL, "letter", actor=make_staff("administrator"), is_at_once=False, now=now)

    assert [erasures.carry_out_all(now=planned.due_at) for _ in range(2)] == [1, 0]
    assert db.session.get(Erasure, planned.id).done_at == planned.due_at


def test_an_obstacle_keeps_the_plan_waiting(person, now):
    order = db.session.query(Order).filter_by(person_id=person.id, state="awaiting_payment").one()
    planned = erasures.order(EMAIL, "authority", actor=make_staff("administrator"), is_at_once=True, now=now)
    orders.payment_pending(order.id, now=now)
    assert erasures.carry_out_all(now=now) == 0

    orders.payment_failed(order.id, now=now)
    assert erasures.carry_out_all(now=now) == 1
    assert planned.done_at == now


def test_an_organisation_keeps_its_owner_and_the_programme_its_administrator(app, now):
    university = make_organisation()
    owner, administrator = make_member(university, "owner"), make_staff("administrator")
    assert erasures.find_obstacle(owner.id).code == "last_owner"
    assert erasures.find_obstacle(administrator.id).code == "last_administrator"

    make_member(university, "owner")
    staff.appoint(make_person(), "administrator", actor=None, now=now)
    assert [erasures.find_obstacle(who.id) for who in (owner, administrator)] == [None, None]


def test_every_room_that_keeps_something_about_people_forgets_and_tells(app):
    """A new table with a person in it belongs to a room whose `personal` module is called."""
    rooms = {
        mapper.class_.__module__.split(".")[1]
        for mapper in Base.registry.mappers
        if any(key.column.table.name == "person" for key in mapper.local_table.foreign_keys)
    }
    called = {room.__name__.split(".")[1] for room in erasures.ROOMS}
    told = {room.__name__.split(".")[1] for room in copies.ROOMS}
    # The catalogue knows only who brought a file in, by number; this room forgets its own copies itself.
    assert rooms - {"catalog", "privacy"} == called == told


def test_the_copy_tells_of_everything(app, person, now):
    made = copies.write(person, made_at=now)
    told = json.loads(_unzipped(made, "data.json"))

    assert [told["profile"][0][key] for key in ("name", "email")] == [NAME, EMAIL]
    assert sorted(row["state"] for row in told["orders"]) == ["awaiting_payment", "confirmed", "confirmed"]
    assert [row["reason"] for row in told["attendance"]] == [f"{NAME} was late"]
    assert [len(told[key]) for key in ("payments", "refunds", "places", "completions")] == [2, 1, 2, 1]
    page = _unzipped(made, "index.html")
    assert f"{NAME} was late" in page
    assert 'href="tokens.css"' in page


def _unzipped(made, name):
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        return archive.read(name).decode()


def test_one_that_fails_keeps_nobody_else_waiting(person, now):
    other = make_person()
    first, second = (
        erasures.order(email, "authority", actor=make_staff("administrator"), is_at_once=True, now=now)
        for email in (EMAIL, other.email)
    )
    stands = (
        "CREATE TRIGGER stands BEFORE UPDATE ON person FOR EACH ROW WHEN (NEW.id = {}) EXECUTE FUNCTION refuse_change()"
    )
    db.session.execute(text(stands.format(person.id)))

    with pytest.raises(DBAPIError):
        erasures.carry_out_all(now=now)
    assert (db.session.get(Erasure, first.id).done_at, db.session.get(Erasure, second.id).done_at) == (None, now)


def test_the_payer_of_money_without_a_fact_is_named_until_it_is_known_whose_it_is(app, now):
    someone, officer = make_person(name=NAME, email=EMAIL), make_staff("finance_officer")
    for reference in ("open", "said"):
        received = Received(Money(1000, "CNY"), reference, bank_days.day_of(now), NAME)
        unmatched.record(received, reason=f"{NAME} names no order", actor_id=officer.id, now=now)
    said = db.session.query(Discrepancy).filter_by(kind=unmatched.TRANSFER).order_by(Discrepancy.id.desc()).first()
    unmatched.answer(said.public_id, Said(AnswerKind.OURS), reason=f"{NAME} gave it", actor_id=officer.id, now=now)
    with transaction():
        personal.forget(Identity(someone.id, NAME, (EMAIL,)), now=now)

    kept = {one.bank_reference: (one.payer_name, NAME in one.reason) for one in db.session.query(BankMoney)}
    assert kept == {"OPEN": (NAME, True), "SAID": ("…", False)}
    assert NAME not in db.session.query(UnmatchedAnswer).one().reason
    acts = [(one.reason, str(one.details)) for one in db.session.query(StaffAct)]
    assert not any(NAME in text for act in acts for text in act)
    assert not any(NAME in str(one.details) for one in db.session.query(Discrepancy))
