from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from marketplace.payments.next_action_rules import ACTORS, Action, Standing, next_action

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SOON, PAST = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
OPEN = Standing("awaiting_payment", is_paid=False, was_confirmed=False, expires_at=SOON, run_ends_at=SOON)
SOLD = Standing(
    "confirmed", is_paid=True, was_confirmed=True, expires_at=None, run_ends_at=SOON, has_place=True, has_unearned=True
)
LOST = Standing("expired", is_paid=True, was_confirmed=False, expires_at=PAST, run_ends_at=SOON)


@pytest.mark.parametrize(
    ("order", "action", "until"),
    [
        (OPEN, "pay", SOON),
        (replace(OPEN, expires_at=NOW), "end_unpaid", None),
        (replace(OPEN, state="payment_pending"), "wait_for_payment", SOON),
        (replace(OPEN, has_proposed_transfer=True), "approve_transfer", None),
        (SOLD, "take_part", SOON),
        (replace(SOLD, run_ends_at=NOW), "earn", None),
        (replace(SOLD, run_ends_at=NOW, has_unearned=False), "nothing", None),
        (replace(SOLD, has_refund_on_its_way=True), "wait_for_refund", None),
        (replace(SOLD, has_refund_on_its_way=True, has_failed_refund=True), "repeat_refund", None),
        (replace(SOLD, has_bank_refund=True), "send_bank_refund", None),
        (replace(SOLD, has_discrepancy=True), "resolve_discrepancy", None),
        (
            replace(SOLD, has_open_dispute=True, has_undecided_dispute=True, evidence_due_by=SOON),
            "decide_dispute",
            SOON,
        ),
        (replace(SOLD, has_open_dispute=True, evidence_due_by=SOON), "wait_for_bank", SOON),
        (replace(SOLD, has_undecided_dispute=True, evidence_due_by=SOON), "decide_disputed_place", None),
        (replace(SOLD, has_undecided_outside_refund=True), "decide_outside_refund", None),
        (replace(SOLD, has_fapiao_to_reverse=True, has_bank_refund=True), "reverse_fapiao", None),
        (replace(SOLD, has_fapiao_to_issue=True), "issue_fapiao", None),
        (replace(LOST, has_fapiao_to_issue=True), "decide_money", None),
        (LOST, "decide_money", None),
        (replace(LOST, has_refund_on_its_way=True), "wait_for_refund", None),
        (replace(LOST, is_given_back=True), "nothing", None),
        (replace(LOST, is_paid=False), "nothing", None),
    ],
)
def test_the_most_urgent_thing_is_told(order, action, until):
    found = next_action(order, now=NOW)

    assert (found.action, found.until) == (action, until)


def test_everything_to_do_has_somebody_who_does_it():
    assert set(ACTORS) == set(Action)
