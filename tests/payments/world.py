"""A small market for the model: three runs with two seats each, a free one, five people, codes and a little budget.

Each act is what somebody or something can do at any moment. What the marketplace refuses in its own words is an answer;
every other error is a fault. `check` holds what must be true after every act; `settle_down` lets everything that is
under way arrive and then holds what must be true when nothing is.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import text

from marketplace.accounts.models import Person
from marketplace.catalog import pricing
from marketplace.catalog.pricing_rules import Rule as PriceRule
from marketplace.catalog.pricing_rules import RuleKind
from marketplace.enrolment import (
    cancellations,
    changes,
    offers,
    orders,
    places,
    pools,
    quotes,
    run_changes,
    seats,
    transfers,
    voucher_seats,
    waiting,
)
from marketplace.enrolment.models import Enrolment, Order, SeatHold
from marketplace.enrolment.quotes import Asked
from marketplace.enrolment.subsidising import Agreed
from marketplace.enrolment.voucher_seats import KeptSeats
from marketplace.foundation import bank_days, clock, ids, jobs
from marketplace.foundation.database import db, locked, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.mail import OutgoingMail
from marketplace.foundation.money import Money
from marketplace.funding import voucher_batches
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_rules import Terms, ValueKind
from marketplace.payments import (
    attempts,
    debts,
    events,
    offline,
    postings,
    queues,
    reconciliation,
    refunds,
    stripe_matching,
)
from marketplace.payments.models import PaymentAttempt, Refund, StripeEvent
from marketplace.payments.offline import Transfer
from marketplace.payments.sandbox import checkout
from marketplace.payments.sandbox import refunds as dashboard
from marketplace.payments.sandbox.errors import ApiError
from tests.buying import place_order
from tests.factories import make_course, make_person, make_run, make_staff
from tests.funding.made import make_programme
from tests.payments.conftest import signed
from tests.payments.funders import RULE, Funders
from tests.payments.owing import BACK, Owing
from tests.payments.truths import ALWAYS, AT_REST, hold_true
from tests.payments.upsets import SEAT_CODE, Upsets

PRICES = (100_000, 150_001, 0, 120_000)
# The first seat of the first run costs less.
FIRST_SEAT = PriceRule(0, RuleKind.FIRST_SEATS, "CNY", price=70_000, first_seats=1)


class World(Upsets, Funders, Owing):
    """The market and its people; acts take small numbers and pick by them, so that any number is a choice."""

    def __init__(self, app, sandbox, move_clock):
        self.app, self.sandbox, self.move_clock = app, sandbox, move_clock
        self.begin = self.now = clock.now()
        clock.set_to(self.now)
        sandbox.forget()
        self.seen_events = self.power_cuts = 0
        course = make_course()
        self.runs = [make_run(course, capacity=2, price_minor=price, is_subsidised=price > 0).id for price in PRICES]
        pricing.add_rule(self.runs[0], FIRST_SEAT, actor_id=None, now=self.now)
        self.people = [make_person(region="310000").id for _ in range(5)]
        self.officers = [make_staff("finance_officer").id for _ in range(2)]
        amount = Terms(ValueKind.AMOUNT, "CNY", amount=30_000, use_cap=3, money_cap=50_000)
        full, kept = Terms(ValueKind.FULL, "CNY", use_cap=1, money_cap=200_000), self._kept_seat(hours=20)
        batches = [self._batch(full), self._batch(amount), self._batch(amount, kept)]
        self.codes = [voucher_batches.code_of(voucher_batches.list_vouchers(batch)[0]) for batch in batches]
        self.programme = make_programme(budget=130_000, rule=RULE).public_id
        self.references = 0
        self.undelivered: list[dict] = []
        self.refusals: Counter[str] = Counter()

    def _kept_seat(self, *, hours):
        """One seat of the second run, for whoever pays with the third code."""
        return KeptSeats(self.runs[1], 1, self.now + timedelta(hours=hours))

    def _batch(self, terms, seats=None):
        return voucher_seats.issue(NewBatch("Model", terms), seats, actor_id=self.officers[0], now=self.now).id

    def _try(self, act, *arguments, **named):
        """Do it; a refusal in the marketplace's own words is an answer too."""
        try:
            return act(*arguments, **named)
        except Refused as refusal:
            self.refusals[refusal.code] += 1
            return None
        finally:
            db.session.rollback()
            db.session.expire_all()

    # What learners do

    def enrol(self, person, run, code, *, is_subsidised=False, has_seat_code=False):
        """Ask for the price, then place the order for it, with a voucher, a subsidy, both or neither."""
        given = {"voucher_code": self.codes[code] if code < 3 else None}
        given |= {"seat_code": SEAT_CODE if has_seat_code else None}
        self._try(self._enrol, self.people[person % 5], self.runs[run % 4], given, is_subsidised=is_subsidised)

    def _enrol(self, person_id, run_id, given, *, is_subsidised):
        if is_subsidised:
            given |= {"programme": self.programme, "agreed": Agreed(1, is_given=True)}
        run = db.session.get_one(quotes.CourseRun, run_id)
        quoted = quotes.quote(quotes.sale_of(run, person_id), Asked(**given), now=self.now)
        asked = Asked(**given, shown_due=quoted.due)
        place_order(
            run_id,
            person_id,
            shown_price=quoted.price,
            request_key=ids.public_id(),
            locale="zh",
            now=self.now,
            asked=asked,
        )

    def open_page(self, which):
        """Go to Stripe's page, for an order that waits."""
        if (order := self._pick(Order, which)) is not None:
            self._try(attempts.start_payment, order.id, **BACK, now=self.now)

    def pay(self, which, how):
        """On any page that was ever opened: pay, be declined, or choose a method that settles later."""
        session = self._session(which)
        if session is None or session["status"] != "open":
            return
        if how == "delay":
            checkout.begin_delayed(self.sandbox.store, session, method="alipay")
        else:
            failure = "card_declined" if how == "decline" else None
            checkout.try_to_pay(self.sandbox.store, session, method="card", failure=failure)
        self._hear()

    def settle_delayed(self, which, is_good):
        """The delayed money arrives, or never will."""
        if (session := self._session(which)) is not None:
            with suppress(ApiError):
                checkout.settle(
                    self.sandbox.store, session, failure=None if is_good else "payment_method_provider_decline"
                )
        self._hear()

    def extend(self, which):
        """Ask for more time."""
        if (order := self._pick(Order, which)) is not None:
            self._try(orders.extend_order, order.id, now=self.now)

    def cancel_unpaid(self, which):
        """Cancel an order, whatever its state."""
        if (order := self._pick(Order, which)) is not None:
            self._try(orders.cancel_order, order.id, actor_id=order.person_id, now=self.now)

    def give_up_place(self, which):
        """Cancel a place by its terms, as the page would."""
        enrolment = self._pick(Enrolment, which)
        if enrolment is None:
            return

        def act():
            place = places.look(db.session.get_one(Enrolment, enrolment.id))
            shown = cancellations.state(place, now=self.now).back
            cancellations.cancel_place(
                enrolment.id, shown=shown, actor_id=enrolment.person_id, reason="model", now=self.now
            )

        self._try(act)

    def defer(self, which, choice):
        """Move a place to another date of the course; a dearer one waits for the difference."""
        enrolment = self._pick(Enrolment, which)
        if enrolment is None:
            return

        def act():
            place = places.look(db.session.get_one(Enrolment, enrolment.id))
            changes.check_may_defer(place, now=self.now)
            moves = changes.list_moves(place, now=self.now)
            if moves:
                step = moves[choice % len(moves)]
                named = {"actor_id": enrolment.person_id, "locale": "zh", "now": self.now}
                changes.defer(enrolment.id, step.run.id, shown=step.difference, **named)

        self._try(act)

    def transfer(self, which, person):
        """Offer a place to somebody, who takes it over by the link in the mail."""
        enrolment = self._pick(Enrolment, which)
        if enrolment is None:
            return

        def act():
            taker, holder = (db.session.get_one(Person, one) for one in (self.people[person % 5], enrolment.person_id))
            transfers.offer(enrolment.id, taker.email, actor=holder, now=self.now)
            newest = db.session.query(OutgoingMail).filter_by(message="enrolment/transfer_offered")
            written = newest.order_by(OutgoingMail.id.desc()).first().text
            key = re.search(r"/transfers/([\w-]+)", written)[1]
            transfers.accept(key, person=taker, now=self.now)

        self._try(act)

    def wait(self, person, run):
        """Join the waiting list."""
        self._try(waiting.join, self.runs[run % 4], self.people[person % 5], seat_code=None, now=self.now)

    def stop_waiting(self, person, run):
        """Leave it, or decline an offer."""
        place = waiting.find_place(self.runs[run % 4], self.people[person % 5])
        if place is not None:
            self._try(waiting.leave, place.entry.public_id, self.people[person % 5], now=self.now)

    # What staff and Stripe do

    def refund(self, which, percent, ends_place):
        """Finance staff give a part back, once more than there is."""
        order = self._pick(Order, which)
        if order is None:
            return
        amount = Money(max(1, order.total_minor * percent // 100), order.currency)
        named = {"reason": "model", "ends_place": ends_place, "actor_id": self.officers[0], "now": self.now}
        self._try(refunds.request_refund, order.id, amount, **named)

    def refund_outside(self, which, percent):
        """Somebody gives money back in Stripe's own dashboard."""
        session = self._session(which)
        if session is None or session["payment_status"] != "paid":
            return
        asked = {
            "payment_intent": session["payment_intent"],
            "amount": max(1, session["amount_total"] * percent // 100),
        }
        with suppress(ApiError):
            dashboard.create(self.sandbox.store, asked)
        self._hear()

    def bank_transfer(self, which):
        """A transfer arrives for any order, paid or not, and an officer enters it."""
        order = self._pick(Order, which)
        if order is None or not order.total_minor:
            return
        self.references += 1
        day = (self.now - timedelta(days=1)).date()
        transfer = Transfer(amount=order.total, bank_reference=f"T{self.references}", received_on=day)
        self._try(offline.enter, order.id, transfer, reason="model", actor_id=self.officers[0], now=self.now)

    def read_stripes_list(self):
        """What runs once a day: every movement at Stripe is held against the books."""
        self._try(stripe_matching.reconcile, now=self.now)
        self.work()

    def send_bank_refunds(self):
        """An officer sends the refunds of transfers at the bank."""
        for refund in queues.list_bank_refunds():
            self.references += 1
            act = {"reason": "model", "actor_id": self.officers[0], "now": self.now}
            act |= {"bank_reference": f"B{self.references}", "sent_on": bank_days.day_of(self.now)}
            self._try(offline.refund_sent, refund.public_id, **act)

    def raise_capacity(self, run):
        """The provider finds another chair; at most six."""

        def act():
            with transaction():
                found = locked(quotes.CourseRun, self.runs[run % 4])
                if found.capacity < 6:
                    found.capacity += 1
                    db.session.flush()
                    offers.settle(found, now=self.now)

        self._try(act)

    def deliver(self, which, times):
        """Stripe's notice of something reaches us, perhaps twice."""
        if not self.undelivered:
            return
        payload = json.dumps(self.undelivered.pop(which % len(self.undelivered))).encode()
        for _ in range(times):
            headers = signed(self.app, payload, at=int(time.time()))
            answer = self.app.test_client().post("/webhooks/stripe", data=payload, headers=headers)
            assert answer.status_code == 200

    def lose(self, which):
        """Stripe's notice never reaches us."""
        if self.undelivered:
            self.undelivered.pop(which % len(self.undelivered))

    def work(self):
        """The worker runs what is due."""
        self._try(jobs.run_pending)

    def work_twice(self, which):
        """A worker is killed after its work and before it could say so: the job runs again."""
        if (event := self._pick(StripeEvent, which)) is not None:
            self._try(events.handle.func.inner, row_id=event.id)
        if (refund := self._pick(Refund, which)) is not None:
            self._try(refunds.send.func.inner, refund_id=refund.id)

    def pass_time(self, minutes):
        """Time passes, here and at Stripe's."""
        self.now += timedelta(minutes=minutes)
        clock.set_to(self.now)
        self.move_clock(int((self.now - self.begin).total_seconds()))
        with self.sandbox.store.changing():
            checkout.do_chores(self.sandbox.store)
        self._hear()

    def chores(self):
        """What runs every minute."""
        for chore in (
            orders.expire_orders,
            seats.sweep_expired_holds,
            offers.offer_all,
            pools.release_due,
            attempts.close_dead_sessions,
            debts.return_overpaid,
            refunds.take_up_refunds,
        ):
            self._try(chore, now=self.now)
        self._try(postings.post_facts)
        self._try(run_changes.work_all.func.inner, 0)
        self._hear()

    def reconcile(self):
        """What runs every ten minutes."""
        self._try(reconciliation.reconcile, now=self.now)
        self._hear()

    def _hear(self):
        """Stripe's new events wait on the line."""
        told = self.sandbox.events()
        self.undelivered += told[self.seen_events :]
        self.seen_events = len(told)

    def _pick(self, model, which):
        """One of the rows this world has made, the same for the same number."""
        query = db.session.query(model).order_by(model.id)
        if model is Order:
            query = query.filter(Order.person_id.in_(self.people))
        rows = query.all()
        return rows[which % len(rows)] if rows else None

    def _session(self, which):
        attempt = self._pick(PaymentAttempt, which)
        return self.sandbox.session_of(attempt) if attempt is not None and attempt.session_id else None

    # What must be true

    def check(self):
        """After every act."""
        hold_true(ALWAYS)

    def settle_down(self):
        """Everything under way arrives; then nothing may be unexplained."""
        for which in range(db.session.query(PaymentAttempt).count()):
            self.settle_delayed(which, is_good=which % 2 == 0)
        for which in range(len(self.sandbox.store.list_kind("dispute"))):
            self.close_dispute(which, is_won=which % 2 == 0)
        for _ in range(3):
            self._go_on(minutes=16)
        for _ in range(2):
            self._go_on(minutes=8 * 24 * 60)
            self.drive_again()
        for _ in self.people:
            # An offer to one who waits stands for a day, then goes to the next.
            if db.session.query(SeatHold).filter_by(ended_at=None).count():
                self._go_on(minutes=25 * 60)
        self.read_stripes_list()
        self._go_on(minutes=60)
        self.read_stripes_list()
        self.check()
        hold_true(AT_REST)
        self.debts_agree()
        self._agree_with_stripe()

    def _go_on(self, *, minutes):
        """Everything that runs by itself runs once."""
        while self.undelivered:
            self.deliver(0, 1)
        self.pass_time(minutes)
        self.chores()
        self.work()
        self.reconcile()
        self.send_bank_refunds()
        self.work()

    def _agree_with_stripe(self):
        """What the ledger says Stripe holds is what Stripe took in less what it kept, gave back and paid out."""
        moved = sum(one["net"] for one in self.sandbox.store.list_kind("balance_transaction"))
        booked = "SELECT coalesce(sum(amount_minor), 0) FROM ledger_entry WHERE account = 'stripe_balance'"
        assert db.session.scalar(text(booked)) == moved
