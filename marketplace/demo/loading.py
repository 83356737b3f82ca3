"""Loads the demo, once, into a database without people: everything in one transaction, clearly marked as a demo."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from flask import current_app
from sqlalchemy import exists, select, text

from marketplace.accounts.models import Person
from marketplace.demo import (
    after_sale,
    bank_money,
    books,
    debts,
    employer,
    history,
    hopes,
    kept_seats,
    money,
    offer,
    papers,
    participation,
    population,
    prices,
    publishing,
    searches,
    subsidies,
    subsidy_history,
)
from marketplace.enrolment import subsidised_runs
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from datetime import datetime

    from marketplace.demo.offer import LoadedRun


def load(*, now: datetime) -> bool:
    """Insert the demo relative to `now`; False if it is there already.

    Raises Refused in production and in a database that holds real people.
    """
    if current_app.config["SETTINGS"].is_production:
        raise Refused("demo_in_production", lazy("The demo is not for production."))
    with transaction():
        if db.session.scalar(select(exists().where(Person.is_demo))):
            return False
        if db.session.scalar(select(exists().where(Person.id.is_not(None)))):
            raise Refused("not_empty", lazy("This database holds real people; the demo is for an empty one."))
        _load(now)
    return True


def _load(now: datetime) -> None:
    loaded = offer.load_offer(now=now)
    learner = population.load_accounts(loaded.organisations, now=now)
    people = population.load_people(now=now)
    purchases = history.plan_purchases(loaded.runs, people, now=now)
    purchases = _with_learner(purchases, learner.id)
    purchases, grants = subsidies.plan(purchases, now=now)
    written = history.write_purchases(purchases)
    money.write_money(written)
    participation.write_participation(written, now=now)
    subsidy_history.write(written, grants, now=now)
    employer.write_employer(learner.id, now=now)
    _count_seats(loaded.runs, written)
    hopes.write_hopes(loaded, people, learner.id, now=now)
    after_sale.write_after_sale(loaded.runs, written, now=now)
    debts.write_debts(now=now)
    books.write_stripe(now=now)
    _tell_planner()
    books.write_facts()
    _tell_planner()
    books.write_earnings(now=now)
    papers.write_papers(learner.id, now=now)
    prices.write_prices(loaded.runs, loaded.organisations, now=now)
    prices.write_vouchers(loaded.organisations, now=now)
    kept_seats.write_kept_seats(loaded.runs, now=now)
    bank_money.write_bank_money(now=now)
    searches.write_searches(people, learner.id, now=now)
    publishing.write_publishing(loaded.organisations, now=now)
    subsidised_runs.mark_all(now=now)
    db.session.execute(text("ANALYZE"))


# What the books are read from while they are written.
READ_ON_THE_WAY = (
    'ledger_transaction, ledger_entry, "order", order_line, enrolment, enrolment_source, course_run, payment_attempt, '
    "subsidy, subsidy_event, voucher_movement, voucher_redemption"
)


def _tell_planner() -> None:
    """After a bulk load the planner still thinks the tables empty, and one statement may take a minute."""
    db.session.execute(text(f"ANALYZE {READ_ON_THE_WAY}"))


def _with_learner(purchases: list[history.Purchase], learner_id: int) -> list[history.Purchase]:
    """Give the learner to look around with the place of someone in a past run and in one under way."""
    changed, taken = list(purchases), set()
    for fate in ("running", "past"):
        for index in range(len(changed) - 1, -1, -1):
            purchase = changed[index]
            is_fit = (
                purchase.outcome == "confirmed" and purchase.run.plan.fate == fate and purchase.run.plan.price_minor
            )
            if is_fit and fate not in taken:
                changed[index] = replace(purchase, person_id=learner_id)
                taken.add(fate)
    return changed


def _count_seats(runs: list[LoadedRun], written: history.Written) -> None:
    """Write into each run how many seats its enrolments take; all holds of the demo are over."""
    taken = Counter(
        purchase.run.run.id for purchase in written.purchases if purchase.is_bought and purchase.ended_at is None
    )
    for loaded in runs:
        loaded.run.seats_taken = taken[loaded.run.id]
