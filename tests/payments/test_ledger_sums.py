"""Sums of the ledger are what its entries come to: at every cut-off, whoever writes meanwhile, however often summed."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.payments import ledger, ledger_sums
from marketplace.payments.ledger import CutOff
from marketplace.payments.models import LedgerEntry, LedgerMark, LedgerSum, LedgerTransaction
from marketplace.payments.posting_rules import Account, Entry
from tests.factories import make_organisation

# Midnight in Shanghai.
FIRST = datetime(2026, 3, 1, 16, tzinfo=UTC)
DAY = timedelta(days=1)


def post(key, minor, *, owner=None, occurred=FIRST, recorded=None, currency="CNY"):
    clock.set_to(recorded or occurred)
    amount = Money(minor, currency)
    with transaction():
        entries = [Entry(Account.BANK, amount), Entry(Account.PROVIDER_PAYABLE, -amount, organisation_id=owner)]
        ledger.post(key, "payment", entries, order_id=None, occurred_at=occurred)


def added_up(cut_off=None):
    """Every entry, one by one."""
    found = {}
    for entry, moment, known in db.session.execute(
        select(LedgerEntry, LedgerTransaction.occurred_at, LedgerTransaction.recorded_at).join(LedgerEntry.transaction)
    ):
        if cut_off is None or (moment < cut_off.occurred and known < cut_off.recorded):
            key = entry.account, entry.currency
            found[key] = found.get(key, 0) + entry.amount_minor
    return found


def owed(cut_off=None):
    return {owner: amount.minor for owner, amount in ledger.balances_of("organisation_id", "provider_payable", cut_off)}


def mark():
    return db.session.get_one(LedgerMark, 1, populate_existing=True).entry_id


def test_balances_are_the_same_before_and_after_they_are_summed_at_every_cut_off(app):
    chance = random.Random(8)
    owners = [make_organisation().id, make_organisation().id, None]
    hours = timedelta(hours=1)
    moments = [FIRST + chance.randrange(5 * 24) * hours for _ in range(12)]
    moments += [FIRST + days * DAY for days in range(6)]
    cut_offs = [
        None,
        *(CutOff(occurred, recorded) for occurred in moments for recorded in [*moments, FIRST + 90 * DAY]),
    ]
    for number in range(60):
        occurred = FIRST + chance.randrange(5 * 24) * hours
        late = chance.choice([0, 0, 0, 40]) * hours
        currency = chance.choice(["CNY", "CNY", "EUR"])
        owner = chance.choice(owners)
        post(
            f"p{number}",
            chance.randrange(1, 9999),
            owner=owner,
            occurred=occurred,
            recorded=occurred + late,
            currency=currency,
        )
        if number in {0, 20, 40, 41}:
            before = [owed(cut_off) for cut_off in cut_offs[:40]]
            assert ledger_sums.sum_up(step=7) > 0
            assert [owed(cut_off) for cut_off in cut_offs[:40]] == before
    assert mark() < db.session.scalar(select(func.max(LedgerEntry.id)))

    for cut_off in cut_offs:
        assert ledger.balances(cut_off) == added_up(cut_off), cut_off
    assert ledger_sums.prove() is True


def test_summing_again_adds_nothing(app):
    post("a", 5)
    post("b", 7)

    assert ledger_sums.sum_up() > 0
    assert [ledger_sums.sum_up() for _ in range(2)] == [0, 0]
    assert db.session.scalars(select(LedgerSum.amount_minor).order_by(LedgerSum.amount_minor)).all() == [-12, 12]
    assert ledger.balances() == added_up() == {("bank", "CNY"): 12, ("provider_payable", "CNY"): -12}


def test_sums_that_differ_are_made_anew(app):
    post("a", 5)
    ledger_sums.sum_up()
    db.session.execute(update(LedgerSum).where(LedgerSum.account == "bank").values(amount_minor=6))
    assert ledger.balances() != added_up()

    assert ledger_sums.prove() is False
    assert ledger.balances() == added_up()
    assert ledger_sums.prove() is True


def test_a_number_given_before_but_committed_later_is_not_passed_over(race_app, monkeypatch):
    """The mark waits for whoever has been given a lower number than the newest entry that is there to be seen."""
    monkeypatch.setattr(ledger_sums, "PATIENCE", 2)
    written, may_end = threading.Event(), threading.Event()

    def write_slowly():
        with race_app.app_context():
            with transaction():
                amount = Money(5, "CNY")
                ledger.post(
                    "slow", "payment", {"bank": amount, "tax_payable": -amount}, order_id=None, occurred_at=FIRST
                )
                written.set()
                may_end.wait(20)
            db.session.remove()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    assert written.wait(20)
    with race_app.app_context():
        with transaction():
            entries = {"bank": Money(7, "CNY"), "tax_payable": Money(-7, "CNY")}
            ledger.post("quick", "payment", entries, order_id=None, occurred_at=FIRST)
        assert ledger.balances()["bank", "CNY"] == 7
        assert (ledger_sums.sum_up(), mark()) == (0, 0)
        db.session.rollback()
        may_end.set()
        slow.join()
        assert ledger_sums.sum_up() >= 4
        assert ledger.balances() == added_up() == {("bank", "CNY"): 12, ("tax_payable", "CNY"): -12}
        assert ledger_sums.prove() is True


def test_writers_and_summers_at_once_lose_nothing(race_app):
    threads, posts = 4, 15

    def write(thread):
        with race_app.app_context():
            for number in range(posts):
                with transaction():
                    amount = Money(1, "CNY")
                    entries = {"bank": amount, "tax_payable": -amount}
                    ledger.post(f"{thread}:{number}", "payment", entries, order_id=None, occurred_at=FIRST)
            db.session.remove()

    def sum_often():
        with race_app.app_context():
            for _ in range(10):
                ledger_sums.sum_up(step=3)
            db.session.remove()

    work = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    work += [threading.Thread(target=sum_often) for _ in range(2)]
    for one in work:
        one.start()
    for one in work:
        one.join()

    with race_app.app_context():
        assert ledger.balances() == {("bank", "CNY"): threads * posts, ("tax_payable", "CNY"): -threads * posts}
        ledger_sums.sum_up()
        assert ledger.balances() == added_up()
        assert ledger_sums.prove() is True


@pytest.mark.parametrize("hours", [0, 3])
def test_what_is_known_now_is_told_though_the_day_is_not_over(app, hours):
    post("a", 5, occurred=FIRST + timedelta(hours=hours))
    ledger_sums.sum_up()
    now = CutOff(FIRST + DAY, FIRST + timedelta(hours=hours, microseconds=1))

    assert ledger.balances(now) == added_up(now) == {("bank", "CNY"): 5, ("provider_payable", "CNY"): -5}
