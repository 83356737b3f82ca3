"""What learners do about what they owe for a subsidy, and what staff do: pay, transfer, give up, at any moment."""

from __future__ import annotations

from marketplace.enrolment.models import Order
from marketplace.foundation import bank_days
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.payments import attempts, debts, offline, write_offs
from marketplace.payments.models import PaymentAttempt, Purpose
from marketplace.payments.offline import Transfer
from marketplace.payments.sandbox import checkout

BACK = {"return_url": "http://localhost/back", "cancel_url": "http://localhost/cancel"}


class Owing:
    """Acts of a World; `self` has its officers, its clock and its sandbox."""

    def pay_debt(self, which, pays):
        """The learner opens the page for what they owe, and pays there at once, or later, or never."""
        if (order := self._indebted(which)) is None:
            return
        order_id = order.id
        self._try(attempts.start_payment, order_id, **BACK, now=self.now, purpose=Purpose.DEBT)
        pages = db.session.query(PaymentAttempt).filter_by(order_id=order_id, purpose=Purpose.DEBT)
        page = pages.order_by(PaymentAttempt.id.desc()).first()
        session = self.sandbox.session_of(page) if page is not None and page.session_id else None
        if pays and session is not None and session["status"] == "open":
            checkout.try_to_pay(self.sandbox.store, session, method="card", failure=None)
        self._hear()

    def transfer_debt(self, which, percent):
        """A part of it, all, or money for a debt that is no more, comes by bank transfer."""
        if (order := self._indebted(which)) is None:
            return
        self.references += 1
        amount = Money(max(1, self._owed(order) * percent // 100), order.currency)
        transfer = Transfer(amount, f"D{self.references}", bank_days.day_of(self.now), Purpose.DEBT)
        self._try(offline.enter, order.id, transfer, reason="model", actor_id=self.officers[0], now=self.now)

    def write_off(self, which, percent):
        """Staff give up a part of it, or all."""
        if (order := self._indebted(which)) is None:
            return
        amount = Money(max(1, self._owed(order) * percent // 100), order.currency)
        self._try(write_offs.propose, order.id, amount, reason="model", actor_id=self.officers[0], now=self.now)

    def _indebted(self, which):
        """An order beside which something is or was owed."""
        query = db.session.query(Order).filter(Order.person_id.in_(self.people)).order_by(Order.id)
        orders = [order for order in query if debts.find(order.public_id) is not None]
        return orders[which % len(orders)] if orders else None

    def _owed(self, order):
        return debts.find(order.public_id).owed.minor

    def debts_agree(self):
        """By every fact, what is left to pay is what the ledger says is owed."""
        assert debts.list_differing(quiet_since=self.now) == []
