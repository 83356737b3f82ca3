"""What is changed or taken away under people who have paid: disputes, runs that are off, kept seats, power cuts."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from sqlalchemy import event, text

from marketplace.catalog.models import CourseRun
from marketplace.enrolment import minimums, pools, run_changes
from marketplace.enrolment.models import Order
from marketplace.enrolment.pools import PoolWish
from marketplace.enrolment.run_change_models import RunChange, RunChangeAnswer
from marketplace.enrolment.run_changes import Wanted
from marketplace.enrolment.seat_models import SeatPool
from marketplace.foundation import bank_days
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.payments import disputes, unmatched
from marketplace.payments.desk_models import OfflineState
from marketplace.payments.dispute_models import Dispute
from marketplace.payments.models import Discrepancy
from marketplace.payments.sandbox import disputes as bank
from marketplace.payments.sandbox.errors import ApiError
from marketplace.payments.unmatched import Received, Said
from marketplace.payments.unmatched_models import AnswerKind

SEAT_CODE = "museum-2026"


class PowerCut(BaseException):
    """The machine is off: nothing is committed any more, and no error is handled."""


class Upsets:
    """Acts of a World; `self` has its runs, people, officers, sandbox and clock."""

    # Money that belongs to nothing

    def stray_transfer(self, which, extra):
        """Money comes that names no order; two officers find out whose it is, or else send it back."""
        order = self._pick(Order, which)
        if order is None or not order.total_minor:
            return
        self.references += 1
        number, amount = order.public_id, Money(order.total_minor + extra, order.currency)
        received = Received(amount, f"S{self.references}", bank_days.day_of(self.now - timedelta(days=1)), "model")
        act = {"reason": "model", "actor_id": self.officers[0], "now": self.now}
        self._try(unmatched.record, received, **act)
        found = db.session.query(Discrepancy).filter_by(kind=unmatched.TRANSFER, resolved_at=None).one().public_id
        back = {"bank_reference": f"B{self.references}", "sent_on": bank_days.day_of(self.now)}
        said = Said(AnswerKind.ORDER, order_number=number), Said(AnswerKind.RETURNED, **back)
        answer = self._try(unmatched.answer, found, said[0], **act) or unmatched.answer(found, said[1], **act)
        if answer.state == OfflineState.PROPOSED:
            unmatched.approve(answer.public_id, **act | {"actor_id": self.officers[1]})

    # Disputes

    def open_dispute(self, which):
        """A cardholder asks their bank for the money of any payment back."""
        session = self._session(which)
        intent = self.sandbox.store.find(session["payment_intent"] or "") if session else None
        if intent and intent.get("latest_charge"):
            with suppress(ApiError):
                bank.open_dispute(self.sandbox.store, intent["latest_charge"])
        self._hear()

    def close_dispute(self, which, is_won):
        """The bank decides, whether we have heard of the dispute or not."""
        known = self.sandbox.store.list_kind("dispute")
        if known:
            with suppress(ApiError):
                bank.close(self.sandbox.store, known[which % len(known)]["id"], is_won=is_won)
        self._hear()

    def decide_dispute(self, which, decision):
        """An officer says what becomes of the place, at any time and more than once."""
        if (dispute := self._pick(Dispute, which)) is not None:
            named = {"reason": "model", "actor_id": self.officers[0], "now": self.now}
            self._try(disputes.decide, dispute.public_id, decision, **named)

    # Runs that change under the people in them

    def announce(self, run, kind, target):
        """The provider cancels, moves or merges a run."""
        starts_at = db.session.get_one(CourseRun, self.runs[run % 4]).starts_at
        wanted = Wanted(kind, "model", starts_at=starts_at + timedelta(days=7), target_run_id=self.runs[target % 4])
        self._try(run_changes.announce, self.runs[run % 4], wanted, actor_id=self.officers[0], now=self.now)

    def choose(self, which, choice, target):
        """Somebody in a changed run chooses, perhaps twice, perhaps what they may not."""
        answer = self._pick(RunChangeAnswer, which)
        if answer is not None:
            named = {"target_run_id": self.runs[target % 4], "actor_id": answer.enrolment.person_id, "now": self.now}
            self._try(run_changes.choose, answer.public_id, choice, **named)

    def set_minimum(self, run, people):
        """A run is said to take place from so many people on."""
        self._try(
            minimums.set_minimum, self.runs[run % 4], people, decide_by=self.now + timedelta(days=5), now=self.now
        )

    def decide_minimum(self, run, decision, target):
        """The provider decides about it."""
        named = {"target_run_id": self.runs[target % 4], "actor_id": self.officers[0], "now": self.now}
        self._try(minimums.decide, self.runs[run % 4], decision, **named)

    def drive_again(self):
        """Somebody presses "try again" on every change that could not be carried out for all."""
        for change in db.session.query(RunChange).order_by(RunChange.id).all():
            if run_changes.count_failed(change.id):
                self._try(run_changes.drive_again, change.public_id, now=self.now)

    # Seats kept for an audience

    def keep_seats(self, run, size, hours):
        """Seats are kept for those who have a code, for some hours."""
        wish = PoolWish("campaign", "code", size, self.now + timedelta(hours=hours), code=SEAT_CODE)
        self._try(pools.create_pool, self.runs[run % 4], wish, actor_id=self.officers[0], now=self.now)

    def change_kept_seats(self, which, size):
        """More or fewer of them are kept."""
        if (pool := self._pick(SeatPool, which)) is not None:
            wish = PoolWish("campaign", "code", size, pool.release_at)
            self._try(pools.change_pool, pool.id, wish, actor_id=self.officers[0], now=self.now)

    def release_seats(self, which):
        """Those unused are given to everyone before their day."""
        if (pool := self._pick(SeatPool, which)) is not None:
            self._try(pools.release_pool, pool.id, actor_id=self.officers[0], now=self.now)

    # Power cuts

    def cut_power(self, act, commits):
        """Whatever the worker or a chore does is cut at one of its commits; then the power comes back."""
        left = commits

        def fail(_session):
            nonlocal left
            left -= 1
            if left <= 0:
                raise PowerCut

        session = db.session()
        event.listen(session, "before_commit", fail)
        try:
            getattr(self, act)()
        except PowerCut:
            self.power_cuts += 1
        finally:
            event.remove(session, "before_commit", fail)
            session.rollback()
            session.expire_all()
        self._put_back_jobs()

    def _put_back_jobs(self):
        """What jobs.retry_stalled does once the heartbeat of the dead worker is old."""
        with transaction():
            db.session.execute(text(PUT_BACK))


PUT_BACK = """
UPDATE procrastinate_jobs AS job SET status = 'todo'
 WHERE status = 'doing'
   AND NOT EXISTS (SELECT FROM procrastinate_jobs AS other
                    WHERE other.status = 'todo' AND other.queueing_lock = job.queueing_lock)
"""
