"""What becomes of subsidies, by evidence, time, officers and funders, at any moment and in any order."""

from __future__ import annotations

from datetime import timedelta

from marketplace.enrolment.models import EnrolmentSource
from marketplace.foundation import bank_days
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.funding import claims, clawing_back, subsidies
from marketplace.funding.claims import FunderPayment
from marketplace.funding.clawing_back import Sending
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import ClaimBatch, Subsidy
from marketplace.funding.subsidy_rules import Consequence, Rule
from marketplace.funding.subsidy_states import State

# Somebody owes something of whatever ends, and somebody else bears the rest.
RULE = Rule(percent=40, if_rejected=Consequence.LEARNER_OWES, owed_percent=30)
EVIDENCE = {"attendance_percent": 90}


class Funders:
    """Acts of a World; `self` has its officers, its clock and the public id of its programme."""

    def earn_subsidy(self, which):
        """Somebody who has a place has done what it takes."""
        subsidy = self._pick(Subsidy, which)
        if subsidy is None:
            return
        place = db.session.query(EnrolmentSource).filter_by(order_line_id=subsidy.order_line_id, revoked_at=None)
        if place.count():
            self._try(subsidies.earn, subsidy.id, EVIDENCE, now=self.now)

    def lapse_subsidy(self, which):
        """The time of one is up: to meet the conditions, or to claim it."""
        subsidy = self._pick(Subsidy, which)
        if subsidy is None:
            return

        def act():
            with transaction():
                subsidy.earn_by = min(subsidy.earn_by, self.now)
                subsidy.claim_by = subsidy.claim_by and min(subsidy.claim_by, self.now)
            subsidies.lapse(subsidy.id, {}, now=self.now)

        self._try(act)

    def reject_subsidy(self, which):
        """An officer or the funder says no, perhaps too late."""
        if (subsidy := self._pick(Subsidy, which)) is not None:
            self._try(subsidies.reject, subsidy.id, reason="model", actor_id=self.officers[0], now=self.now)

    def claim_subsidies(self):
        """All that is earned goes into a batch."""
        programme = db.session.query(FundingProgramme).filter_by(public_id=self.programme).one()
        self._try(claims.make_batch, programme.id, None, actor_id=self.officers[0], now=self.now)

    def pay_batch(self, which, is_exact):
        """The funder pays a batch, what it asks or something else; its money may have come days ago."""
        batch = self._pick(ClaimBatch, which)
        if batch is None:
            return
        asked = db.session.query(Subsidy).filter_by(batch_id=batch.id, state=State.CLAIMED)
        self.references += 1
        # Some funders leave out what came off meanwhile.
        of = (lambda one: one.asked.minor) if self.references % 2 else (lambda one: one.amount_minor)
        minor = sum(of(one) for one in asked) + (0 if is_exact else 1)
        day = bank_days.day_of(self.now - timedelta(days=self.references % 3 == 0))
        payment = FunderPayment(Money(minor, "CNY"), f"F{self.references}", day)
        self._try(claims.mark_paid, batch.id, payment, actor_id=self.officers[0], now=self.now)

    def claw_back_subsidy(self, which):
        """The funder wants its money back after an audit."""
        if (subsidy := self._pick(Subsidy, which)) is not None:
            self._try(clawing_back.claw_back, subsidy.id, reason="model", actor_id=self.officers[0], now=self.now)

    def send_back_subsidy(self, which):
        """An officer sends the funder what it is owed."""
        if (subsidy := self._pick(Subsidy, which)) is None:
            return
        self.references += 1
        sending = Sending(bank_days.day_of(self.now), f"S{self.references}", "model")
        self._try(clawing_back.send_back, subsidy.id, sending, actor_id=self.officers[0], now=self.now)
