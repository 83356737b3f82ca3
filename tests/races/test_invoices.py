"""Invoice numbers under concurrency: consecutive, without gaps, though some transactions are undone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Refused
from marketplace.payments import invoices
from marketplace.payments.invoice_models import Invoice
from marketplace.payments.invoices import BilledTo
from tests.factories import make_run
from tests.payments.test_invoices import paid_order, yijiang

ORDERS, THREADS = 48, 16
WEN = BilledTo(kind="personal", title="林文")


def test_numbers_have_no_gap_and_no_twin(race_app):
    with race_app.app_context():
        yijiang()
        run = make_run(capacity=ORDERS)
        ids = [paid_order(run, now=clock.now()).id for _ in range(ORDERS)]

    def issue(index):
        """Every third one is undone after it had its number; each order is asked for twice at once."""
        with race_app.app_context():
            try:
                with transaction():
                    invoices.issue(ids[index % ORDERS], WEN, actor_id=None, now=clock.now())
                    if index < ORDERS and index % 3 == 0:
                        raise Refused("undone", "undone")
            except Refused:
                return False
            finally:
                db.session.remove()
            return True

    with ThreadPoolExecutor(THREADS) as pool:
        issued = list(pool.map(issue, range(2 * ORDERS)))

    with race_app.app_context():
        numbers = sorted(number for (number,) in db.session.query(Invoice.number))
        assert issued.count(False) == ORDERS // 3
        assert numbers == list(range(1, ORDERS + 1))
