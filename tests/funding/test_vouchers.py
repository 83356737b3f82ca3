"""Codes issued, used, given back and ended; what the rows say afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from marketplace.foundation import clock, ids
from marketplace.foundation.database import add, db, savepoint, transaction
from marketplace.foundation.errors import Invalid, Refused
from marketplace.foundation.money import Money
from marketplace.funding import voucher_batches, vouchers
from marketplace.funding.facts import Buyer
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_models import Voucher, VoucherMovement
from marketplace.funding.voucher_rules import Terms, ValueKind, VoucherRefused
from marketplace.funding.vouchers import VoucherChanged
from tests.buying import place_order
from tests.factories import make_organisation, make_person, make_run, make_staff
from tests.funding.test_voucher_rules import AMOUNT, FULL, OFFER, PERCENT


@pytest.fixture
def officer(app):
    return make_staff("funding_officer")


def issue(officer, terms=AMOUNT, **values):
    return voucher_batches.issue(NewBatch("Spring", terms, **values), actor_id=officer.id, now=clock.now())


def codes(batch):
    return [voucher_batches.code_of(voucher) for voucher in voucher_batches.list_vouchers(batch.id)]


def line_of(person, run=None):
    order = place_order(
        (run or make_run()).id,
        person.id,
        shown_price=Money(128000, "CNY"),
        request_key=ids.public_id(),
        locale="zh",
        now=clock.now(),
    )
    return order.lines[0].id


def buyer(person):
    return Buyer(person_id=person.id, email_domain="example.com", organisation_ids=frozenset())


def assess(code, person, *, to_pay=80000, now=None):
    return vouchers.assess(code, buyer=buyer(person), offer=OFFER, to_pay=Money(to_pay, "CNY"), now=now or clock.now())


def use(code, person, **values):
    return vouchers.redeem(assess(code, person, **values), order_line_id=line_of(person), now=clock.now())


def standing(voucher):
    db.session.refresh(voucher)
    return voucher.uses, voucher.spent_minor


def test_drawn_codes_are_many_different_and_found_but_not_stored(officer):
    batch = issue(officer, size=50)

    drawn = codes(batch)
    assert len(set(drawn)) == 50
    assert [vouchers.find_by_code(code.lower()).number for code in drawn] == list(range(1, 51))
    rows = db.session.execute(text("SELECT v.*::text FROM voucher AS v")).scalars().all()
    assert [row for row in rows for code in drawn if code.replace("-", "").lower() in row] == []


def test_another_key_of_the_server_draws_nothing_but_codes_still_work(officer, app, monkeypatch):
    batch = issue(officer)
    [code] = codes(batch)

    monkeypatch.setitem(app.config, "SETTINGS", replace(app.config["SETTINGS"], secret_key="another " * 8))
    assert codes(batch) == [None]
    assert assess(code, make_person()).amount == Money(20000, "CNY")


def test_an_unknown_code_is_refused(app):
    with pytest.raises(VoucherRefused, match="voucher_unknown"):
        assess("nothing like it", make_person())


def test_using_a_code_writes_who_what_and_for_whom(officer):
    sponsor, person = make_organisation(kind="employer"), make_person()
    batch = issue(officer, sponsor_id=sponsor.id, word="Museum Night 2026")

    redemption = use("museum-night-2026", person)

    voucher = redemption.voucher
    assert (redemption.amount, redemption.sponsor_id, redemption.person_id) == (
        Money(20000, "CNY"),
        sponsor.id,
        person.id,
    )
    assert standing(voucher) == (1, 20000)
    assert voucher.left == Money(80000, "CNY")
    [shown] = voucher_batches.list_batches()
    assert (shown.batch, shown.uses, shown.spent, shown.open_codes) == (batch, 1, Money(20000, "CNY"), 1)


def test_a_single_use_code_is_used_once(officer):
    [code] = codes(issue(officer, FULL))
    use(code, make_person())

    with pytest.raises(VoucherRefused, match="voucher_used_up"):
        assess(code, make_person())


def test_what_was_shown_is_what_is_paid_or_nothing_happens(officer):
    [code] = codes(issue(officer, replace(PERCENT, money_cap=50000)))
    first, second = make_person(), make_person()
    shown = assess(code, second)
    use(code, first)

    line = line_of(second)
    with pytest.raises(VoucherChanged), savepoint():
        vouchers.redeem(shown, order_line_id=line, now=clock.now())
    assert standing(vouchers.find_by_code(code)) == (1, 40000)
    assert assess(code, second).left == Money(10000, "CNY")


def test_one_line_takes_one_code(officer):
    one, other = codes(issue(officer, size=2))
    person = make_person()
    line = line_of(person)
    vouchers.redeem(assess(one, person), order_line_id=line, now=clock.now())

    with pytest.raises(Refused, match="uq_voucher_redemption_order_line_id"), savepoint():
        vouchers.redeem(assess(other, person), order_line_id=line, now=clock.now())
    assert standing(vouchers.find_by_code(other)) == (0, 0)


def test_an_order_that_ends_unpaid_gives_money_and_use_back_once(officer):
    [code] = codes(issue(officer, FULL))
    redemption = use(code, make_person())

    assert vouchers.give_back(redemption.order_line_id, now=clock.now()) == Money(80000, "CNY")
    assert vouchers.give_back(redemption.order_line_id, now=clock.now()) == Money(0, "CNY")
    assert standing(redemption.voucher) == (0, 0)
    assert use(code, make_person()).amount == Money(80000, "CNY")


def test_a_part_of_the_money_comes_back_and_the_use_with_the_last_of_it(officer):
    [code] = codes(issue(officer))
    line = use(code, make_person()).order_line_id
    voucher = vouchers.find_by_code(code)

    vouchers.give_back(line, amount=Money(5000, "CNY"), now=clock.now())
    assert standing(voucher) == (1, 15000)
    with pytest.raises(Refused, match="voucher_kept_less"), savepoint():
        vouchers.give_back(line, amount=Money(15001, "CNY"), now=clock.now())
    vouchers.give_back(line, amount=Money(15000, "CNY"), now=clock.now())
    assert standing(voucher) == (0, 0)
    assert vouchers.find_redemption(line).kept == Money(0, "CNY")


def test_a_line_without_a_code_gives_nothing_back(app):
    line = line_of(make_person())

    assert vouchers.give_back(line, now=clock.now()) is None
    assert vouchers.redeem_again(line, now=clock.now()) is True


def test_late_money_finds_the_code_again_if_nobody_used_it_meanwhile(officer):
    [code] = codes(issue(officer, replace(FULL, ends_on=clock.now().date() + timedelta(days=1))))
    line = use(code, make_person()).order_line_id
    vouchers.give_back(line, now=clock.now())

    assert vouchers.redeem_again(line, now=clock.now() + timedelta(days=9)) is True
    assert vouchers.redeem_again(line, now=clock.now()) is True
    assert standing(vouchers.find_by_code(code)) == (1, 80000)

    vouchers.give_back(line, now=clock.now())
    other = use(code, make_person()).order_line_id
    assert vouchers.redeem_again(line, now=clock.now()) is False
    assert vouchers.find_redemption(other).kept == Money(80000, "CNY")


def test_late_money_does_not_use_a_code_more_often_than_its_person_may(officer):
    [code] = codes(issue(officer, replace(AMOUNT, person_cap=1)))
    person = make_person()
    late = use(code, person).order_line_id
    vouchers.give_back(late, now=clock.now())
    newer = use(code, person).order_line_id

    assert vouchers.redeem_again(late, now=clock.now()) is False
    assert standing(vouchers.find_by_code(code)) == (1, 20000)
    vouchers.give_back(newer, now=clock.now())
    assert vouchers.redeem_again(late, now=clock.now()) is True


def test_counters_are_the_sums_of_the_movements(officer):
    [code] = codes(issue(officer, replace(AMOUNT, person_cap=None)))
    lines = [use(code, make_person()).order_line_id for _ in range(3)]
    vouchers.give_back(lines[0], now=clock.now())
    vouchers.give_back(lines[1], amount=Money(700, "CNY"), now=clock.now())
    vouchers.redeem_again(lines[0], now=clock.now())

    uses, money = db.session.query(db.func.sum(VoucherMovement.uses), db.func.sum(VoucherMovement.amount_minor)).one()
    assert standing(vouchers.find_by_code(code)) == (uses, money) == (3, 59300)


def test_an_ended_code_pays_no_more_and_says_why_it_ended(officer):
    batch = issue(officer, size=3)
    first, *_ = voucher_batches.list_vouchers(batch.id)

    with pytest.raises(Invalid, match="reason_missing"), savepoint():
        voucher_batches.end_voucher(first.id, reason=" ", actor_id=officer.id, now=clock.now())
    voucher_batches.end_voucher(first.id, reason="lost", actor_id=officer.id, now=clock.now())
    assert voucher_batches.end_batch(batch.id, reason="campaign over", actor_id=officer.id, now=clock.now()) == 2
    assert voucher_batches.end_batch(batch.id, reason="again", actor_id=officer.id, now=clock.now()) == 0

    db.session.expire_all()
    assert [voucher.end_reason for voucher in voucher_batches.list_vouchers(batch.id)] == [
        "lost",
        "campaign over",
        "campaign over",
    ]
    with pytest.raises(VoucherRefused, match="voucher_ended"):
        assess(codes(batch)[0], make_person())
    assert [(event.kind, event.reason) for event in voucher_batches.list_events(batch.id)] == [
        ("issued", ""),
        ("ended", "lost"),
        ("ended", "campaign over"),
    ]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"size": 0}, "size"),
        ({"size": 2001}, "size"),
        ({"size": 2, "word": "SPRING"}, "word"),
        ({"word": "SPR-1"}, "word"),
        ({"terms": replace(FULL, money_cap=None)}, "money_cap"),
    ],
)
def test_a_batch_is_refused_at_its_field(officer, values, field):
    wanted = NewBatch(**({"name": "Spring", "terms": AMOUNT} | values))

    with pytest.raises(Invalid) as refused:
        voucher_batches.issue(wanted, actor_id=officer.id, now=clock.now())
    assert list(refused.value.fields) == [field]


def test_a_word_is_taken_once(officer):
    issue(officer, word="spring 2026")

    with pytest.raises(Invalid, match="uq_voucher_code_hash"), savepoint():
        issue(officer, word="SPRING-2026")


def test_the_database_refuses_a_batch_without_limit_that_nobody_asked_for(app):
    batch = voucher_batches.VoucherBatch(name="x", size=1, value_kind="full", use_cap=None, money_cap_minor=None)

    with pytest.raises(Invalid, match="ck_voucher_batch_capped_or_asked_for"), transaction():
        add(batch)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE voucher SET uses = use_cap + 1",
        "UPDATE voucher SET spent_minor = money_cap_minor + 1",
        "UPDATE voucher SET spent_minor = -1",
        "UPDATE voucher SET use_cap = 100",
        "UPDATE voucher_batch SET amount_minor = 1",
        "UPDATE voucher_redemption SET amount_minor = 1",
        "UPDATE voucher_movement SET amount_minor = 1",
        "DELETE FROM voucher_movement",
        "DELETE FROM voucher_event",
        "DELETE FROM voucher",
    ],
)
def test_the_database_keeps_caps_terms_and_facts(officer, change):
    [code] = codes(issue(officer))
    use(code, make_person())

    with pytest.raises(DBAPIError), db.session.begin_nested():
        db.session.execute(text(change))


@pytest.mark.parametrize(
    ("zone", "moment", "is_good"),
    [
        ("Asia/Shanghai", datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC), True),
        ("Asia/Shanghai", datetime(2026, 2, 28, 16, 0, tzinfo=UTC), False),
        # The clocks of London go forward on 29 March 2026: its 28th ends at midnight UTC, its 29th an hour earlier.
        ("Europe/London", datetime(2026, 3, 29, 22, 59, tzinfo=UTC), True),
        ("Europe/London", datetime(2026, 3, 29, 23, 0, tzinfo=UTC), False),
    ],
)
def test_the_last_day_counts_to_its_end_in_the_batchs_zone(officer, zone, moment, is_good):
    last = date(2026, 2, 28) if zone == "Asia/Shanghai" else date(2026, 3, 29)
    [code] = codes(issue(officer, replace(AMOUNT, ends_on=last), zone=zone))

    if is_good:
        assert assess(code, make_person(), now=moment).amount == Money(20000, "CNY")
    else:
        with pytest.raises(VoucherRefused, match="voucher_expired"):
            assess(code, make_person(), now=moment)


def test_two_uses_by_one_person_are_two_but_not_three(officer):
    [code] = codes(issue(officer))
    person = make_person()
    use(code, person)
    use(code, person)

    with pytest.raises(VoucherRefused, match="voucher_used_by_you"):
        assess(code, person)


def test_terms_come_back_from_the_rows_as_they_were(officer):
    terms = Terms(
        ValueKind.PERCENT,
        "CNY",
        percent=30,
        use_cap=4,
        money_cap=99,
        person_cap=None,
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 1, 31),
        run_ids=frozenset({1, 2}),
        course_ids=frozenset({3}),
        provider_ids=frozenset({4}),
        person_ids=frozenset({5}),
        email_domains=frozenset({"a.example"}),
    )
    batch = issue(officer, terms)
    db.session.expire_all()

    assert batch.terms == terms
    assert db.session.query(Voucher).filter_by(batch_id=batch.id).one().use_cap == 4
