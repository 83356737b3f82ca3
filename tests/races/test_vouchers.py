"""Codes under a crowd: a use, and the money of a code, are scarce things."""

from datetime import timedelta

from sqlalchemy import func, select

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import voucher_seats
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.rules import RunFull
from marketplace.enrolment.seat_models import SeatPool
from marketplace.enrolment.voucher_seats import KeptSeats
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.funding import voucher_batches, vouchers
from marketplace.funding.facts import Buyer, Offer
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_models import Voucher, VoucherMovement, VoucherRedemption
from marketplace.funding.voucher_rules import Terms, ValueKind, VoucherRefused
from marketplace.funding.vouchers import VoucherChanged
from tests.buying import place_order
from tests.factories import make_person, make_run
from tests.races.test_seats import crowd


def issued(app, **terms):
    """The code of a batch of one, and a run somebody can buy with it."""
    with app.app_context():
        batch = voucher_batches.issue(NewBatch("race", Terms(currency="CNY", **terms)), actor_id=None, now=clock.now())
        [voucher] = voucher_batches.list_vouchers(batch.id)
        return voucher_batches.code_of(voucher)


def buyers(app, size):
    """Order lines to pay for, each with its buyer."""
    with app.app_context(), transaction():
        run = make_run(capacity=1000)
        people = [make_person().id for _ in range(size)]
    with app.app_context():
        return [(person_id, _order(run.id, person_id)) for person_id in people]


def _order(run_id, person_id):
    order = place_order(
        run_id,
        person_id,
        shown_price=Money(128000, "CNY"),
        request_key=ids.public_id(),
        locale="zh",
        now=clock.now(),
    )
    return order.lines[0].id


def using(code, *, to_pay=80000):
    """Use the code for a line; what came of it."""
    offer = Offer(1, 1, None, frozenset(), frozenset(), frozenset(), None, None, "online")

    def act(pair):
        person_id, line_id = pair
        buyer = Buyer(person_id=person_id, email_domain="example.com", organisation_ids=frozenset())
        try:
            with transaction():
                share = vouchers.assess(code, buyer=buyer, offer=offer, to_pay=Money(to_pay, "CNY"), now=clock.now())
                vouchers.redeem(share, order_line_id=line_id, now=clock.now())
        except VoucherRefused:
            return "refused"
        except VoucherChanged:
            return "changed"
        return "used"

    return act


def standing(app):
    """Uses and money of the one code, and what redemptions and movements say."""
    with app.app_context():
        voucher = db.session.scalars(select(Voucher)).one()
        moved = db.session.execute(select(func.sum(VoucherMovement.uses), func.sum(VoucherMovement.amount_minor))).one()
        count = db.session.scalar(select(func.count()).select_from(VoucherRedemption))
        assert (voucher.uses, voucher.spent_minor) == (int(moved[0]), int(moved[1]))
        return voucher.uses, voucher.spent_minor, count


def test_a_single_use_code_is_used_by_one_of_many(race_app):
    code = issued(race_app, value_kind=ValueKind.FULL, use_cap=1, money_cap=100000)

    answers = crowd(race_app, using(code), buyers(race_app, 64))

    assert answers == {"used": 1, "refused": 63}
    assert standing(race_app) == (1, 80000, 1)


def test_a_code_for_ten_is_used_by_ten(race_app):
    code = issued(race_app, value_kind=ValueKind.AMOUNT, amount=100, use_cap=10, money_cap=10**6)

    answers = crowd(race_app, using(code), buyers(race_app, 64))

    assert answers == {"used": 10, "refused": 54}
    assert standing(race_app) == (10, 1000, 10)


def test_the_money_of_a_code_is_never_overspent(race_app):
    code = issued(race_app, value_kind=ValueKind.PERCENT, percent=50, use_cap=1000, money_cap=410000)

    answers = crowd(race_app, using(code), buyers(race_app, 64))

    # Ten get their 40,000; who saw 10,000 left and was first gets that; who saw more is shown the price again.
    uses, spent, redemptions = standing(race_app)
    assert spent <= 410000
    assert uses == redemptions == answers["used"] >= 10
    assert answers["used"] + answers["refused"] + answers["changed"] == 64


def test_using_and_giving_back_at_once_leaks_nothing(race_app):
    code = issued(race_app, value_kind=ValueKind.FULL, use_cap=3, money_cap=240000)
    use = using(code)

    def act(pair):
        answer = use(pair)
        if answer == "used":
            vouchers.give_back(pair[1], now=clock.now())
            vouchers.redeem_again(pair[1], now=clock.now())
            vouchers.give_back(pair[1], now=clock.now())
        return "done"

    crowd(race_app, act, buyers(race_app, 64))

    assert standing(race_app)[:2] == (0, 0)


def test_seats_of_a_code_go_to_its_holders_and_no_more_than_there_are(race_app):
    """Ten seats for thirty-two who have the code, two for thirty-two who have not; the code takes what is left too."""
    with race_app.app_context():
        run_id = make_run(capacity=12).id
        terms = Terms(ValueKind.AMOUNT, "CNY", amount=28000, use_cap=64, money_cap=64 * 28000)
        seats = KeptSeats(run_id, 10, clock.now() + timedelta(days=1))
        batch = voucher_seats.issue(NewBatch("race", terms), seats, actor_id=None, now=clock.now())
        code = voucher_batches.code_of(voucher_batches.list_vouchers(batch.id)[0])
        people = [(make_person().id, code if number % 2 else None) for number in range(64)]

    def act(pair):
        person_id, given = pair
        asked = Asked(voucher_code=given, shown_due=Money(100000, "CNY") if given else None)
        named = {"request_key": ids.public_id(), "locale": "zh", "now": clock.now(), "asked": asked}
        try:
            order = place_order(run_id, person_id, shown_price=Money(128000, "CNY"), **named)
        except RunFull:
            return "full"
        return "kept" if order.hold.pool_id else "public"

    assert crowd(race_app, act, people) == {"kept": 10, "public": 2, "full": 52}
    with race_app.app_context():
        run = db.session.get_one(CourseRun, run_id)
        pool = db.session.scalars(select(SeatPool)).one()
        assert (run.seats_taken, run.seats_kept, pool.taken) == (12, 0, 10)


def test_one_line_that_comes_many_times_is_paid_once(race_app):
    code = issued(race_app, value_kind=ValueKind.AMOUNT, amount=100, use_cap=64, money_cap=10**6, person_cap=None)
    [pair] = buyers(race_app, 1)
    use = using(code)

    def act(pair):
        try:
            return use(pair)
        except vouchers.Refused as refused:
            return refused.code

    answers = crowd(race_app, act, [pair] * 64)

    assert answers == {"used": 1, "uq_voucher_redemption_order_line_id": 63}
    assert standing(race_app) == (1, 100, 1)
