"""Anything may happen in any order: after every act and at rest, no seat, no yuan and no person is unexplained.

A long run outside CI: `MODEL_EXAMPLES=2000 MODEL_STEPS=60 bin/test tests/payments/test_model.py`. What it finds becomes
a test of the module that was wrong.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from marketplace.enrolment.run_change_rules import Choice, RunChangeKind
from marketplace.payments.dispute_rules import PlaceDecision
from tests.conftest import in_one_transaction
from tests.payments.world import World

EXAMPLES, STEPS = int(os.environ.get("MODEL_EXAMPLES", "24")), int(os.environ.get("MODEL_STEPS", "84"))
# Shrinking takes minutes: only where somebody waits for it.
SHRINK = (Phase.shrink,) if os.environ.get("MODEL_SHRINK") else ()
PEOPLE, RUNS, ANY, PERCENT = st.integers(0, 4), st.integers(0, 3), st.integers(0, 11), st.sampled_from((1, 30, 50, 100))


class Market(RuleBasedStateMachine):
    """Draws the acts of a World; `make_world` is set by the test."""

    make_world = None

    def __init__(self):
        super().__init__()
        self.undo = ExitStack()
        self.undo.enter_context(in_one_transaction())
        self.world = type(self).make_world()

    @initialize(people=st.integers(1, 3), run=RUNS, funded=st.sampled_from((4, 5, 3, 2, 1, 0)))
    def some_are_in(self, people, run, funded):
        """What follows meets people who have paid, and funders who have, more often than chance would have it."""
        for person in range(people):
            self.world.enrol(person, run, 5, is_subsidised=funded > 0)
            self.world.open_page(person)
            self.world.pay(person, "card")
            for _ in range(3):
                self.world.deliver(0, 1)
        self.world.work()
        for which in range(people if funded > 1 else 0):
            self.world.earn_subsidy(which)
        if funded > 2:
            self.world.claim_subsidies()
        if funded > 3:
            self.world.pay_batch(0, is_exact=True)
        if funded > 4:
            self.world.claw_back_subsidy(0)

    def teardown(self):
        try:
            self.world.settle_down()
        finally:
            self.undo.close()

    @rule(person=PEOPLE, run=RUNS, code=st.integers(0, 5), is_subsidised=st.booleans(), has_seat_code=st.booleans())
    def enrol(self, person, run, code, is_subsidised, has_seat_code):
        self.world.enrol(person, run, code, is_subsidised=is_subsidised, has_seat_code=has_seat_code)

    @rule(which=ANY)
    def open_page(self, which):
        self.world.open_page(which)

    @rule(which=ANY, how=st.sampled_from(("card", "card", "decline", "delay")))
    def pay(self, which, how):
        self.world.open_page(which)
        self.world.pay(which, how)

    @rule(which=ANY, is_good=st.booleans())
    def settle_delayed(self, which, is_good):
        self.world.settle_delayed(which, is_good)

    @rule(which=ANY)
    def extend(self, which):
        self.world.extend(which)

    @rule(which=ANY)
    def cancel_unpaid(self, which):
        self.world.cancel_unpaid(which)

    @rule(which=ANY)
    def give_up_place(self, which):
        self.world.give_up_place(which)

    @rule(which=ANY, choice=RUNS)
    def defer(self, which, choice):
        self.world.defer(which, choice)

    @rule(which=ANY, person=PEOPLE)
    def transfer(self, which, person):
        self.world.transfer(which, person)

    @rule(person=PEOPLE, run=RUNS)
    def wait(self, person, run):
        self.world.wait(person, run)

    @rule(person=PEOPLE, run=RUNS)
    def stop_waiting(self, person, run):
        self.world.stop_waiting(person, run)

    @rule(which=ANY, percent=PERCENT, ends_place=st.booleans())
    def refund(self, which, percent, ends_place):
        self.world.refund(which, percent, ends_place)

    @rule(which=ANY, percent=PERCENT)
    def refund_outside(self, which, percent):
        self.world.refund_outside(which, percent)

    @rule(which=ANY)
    def bank_transfer(self, which):
        self.world.bank_transfer(which)

    @rule(which=ANY, extra=st.sampled_from([0, 10]))
    def stray_transfer(self, which, extra):
        self.world.stray_transfer(which, extra)

    @rule(run=RUNS)
    def raise_capacity(self, run):
        self.world.raise_capacity(run)

    @rule(which=ANY, times=st.integers(1, 2))
    def deliver(self, which, times):
        self.world.deliver(which, times)

    @rule(which=ANY)
    def lose(self, which):
        self.world.lose(which)

    @rule(which=ANY)
    def open_dispute(self, which):
        self.world.open_dispute(which)

    @rule(which=ANY, is_won=st.booleans())
    def close_dispute(self, which, is_won):
        self.world.close_dispute(which, is_won)

    @rule(which=ANY, decision=st.sampled_from(PlaceDecision))
    def decide_dispute(self, which, decision):
        self.world.decide_dispute(which, decision)

    @rule(run=RUNS, kind=st.sampled_from(RunChangeKind), into=RUNS)
    def announce(self, run, kind, into):
        self.world.announce(run, kind, into)

    @rule(which=ANY, choice=st.sampled_from(Choice), into=RUNS)
    def choose(self, which, choice, into):
        self.world.choose(which, choice, into)

    @rule(run=RUNS, people=st.integers(1, 3), decision=st.sampled_from(("confirmed", "merged", "cancelled")), into=RUNS)
    def decide_minimum(self, run, people, decision, into):
        self.world.set_minimum(run, people)
        self.world.decide_minimum(run, decision, into)

    @rule()
    def drive_again(self):
        self.world.drive_again()

    @rule(run=RUNS, size=st.integers(1, 2), hours=st.sampled_from((1, 30)))
    def keep_seats(self, run, size, hours):
        self.world.keep_seats(run, size, hours)

    @rule(which=ANY, size=st.integers(0, 3))
    def change_kept_seats(self, which, size):
        self.world.change_kept_seats(which, size)

    @rule(which=ANY)
    def release_seats(self, which):
        self.world.release_seats(which)

    @rule(which=ANY)
    def earn_subsidy(self, which):
        self.world.earn_subsidy(which)

    @rule(which=ANY)
    def lapse_subsidy(self, which):
        self.world.lapse_subsidy(which)

    @rule(which=ANY)
    def reject_subsidy(self, which):
        self.world.reject_subsidy(which)

    @rule(which=ANY, is_exact=st.sampled_from((True, True, False)))
    def claim_and_pay(self, which, is_exact):
        self.world.claim_subsidies()
        self.world.pay_batch(which, is_exact)

    @rule(which=ANY)
    def claw_back_subsidy(self, which):
        self.world.claw_back_subsidy(which)

    @rule(which=ANY)
    def send_back_subsidy(self, which):
        self.world.send_back_subsidy(which)

    @rule(which=ANY, pays=st.sampled_from((True, True, False)))
    def pay_debt(self, which, pays):
        self.world.pay_debt(which, pays)

    @rule(which=ANY, percent=PERCENT)
    def transfer_debt(self, which, percent):
        self.world.transfer_debt(which, percent)

    @rule(which=ANY, percent=PERCENT)
    def write_off(self, which, percent):
        self.world.write_off(which, percent)

    @rule(act=st.sampled_from(("work", "work", "chores", "reconcile")), commits=st.integers(1, 12))
    def cut_power(self, act, commits):
        self.world.cut_power(act, commits)

    @rule()
    def work(self):
        self.world.work()

    @rule(which=ANY)
    def work_twice(self, which):
        self.world.work_twice(which)

    @rule(minutes=st.sampled_from((1, 6, 16, 40, 24 * 60)))
    def pass_time(self, minutes):
        self.world.pass_time(minutes)

    @rule()
    def chores(self):
        self.world.chores()

    @rule()
    def reconcile(self):
        self.world.reconcile()

    @invariant()
    def nothing_is_unexplained(self):
        self.world.check()


@pytest.fixture
def make_world(app, sandbox, monkeypatch):
    """A function that makes a new market; its clock is the sandbox's too."""

    def move_clock(seconds):
        monkeypatch.setenv("MARKETPLACE_CLOCK_OFFSET", str(seconds))

    def make():
        move_clock(0)
        return World(app, sandbox, move_clock)

    return make


@pytest.mark.timeout(3600)
def test_whatever_happens_everything_is_explained(make_world):
    Market.make_world = staticmethod(make_world)
    run_state_machine_as_test(
        Market,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, *SHRINK),
        ),
    )
