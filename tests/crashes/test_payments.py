"""kill -9 at every step from the order to the seat: whoever has paid is enrolled once, and the books balance."""

import random
import re
import time

import pytest
import requests
from sqlalchemy import func, select

from marketplace import create_app
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Enrolment, Order, RefundDue
from marketplace.foundation import ids
from marketplace.foundation.database import db, transaction
from marketplace.payments import ledger
from marketplace.payments.models import PaymentAttempt, StripeEvent
from tests.conftest import settings_for
from tests.factories import make_person, make_run, session_of

# A job whose worker was killed is taken up again a minute after the last heartbeat, by a task that runs each minute.
PATIENCE_SECONDS = 180
# (after this step, these processes are killed); the step after it happens while they are down where that is possible.
POINTS = [
    ("placed", ["web"]),
    ("placed", ["web", "worker"]),
    ("opened", ["web", "worker"]),
    ("opened", ["sandbox"]),
    ("paid", ["web"]),
    ("paid", ["worker"]),
    ("paid", ["sandbox"]),
    ("paid", ["web", "worker", "sandbox"]),
    ("told", ["worker"]),
    ("told", ["web", "worker"]),
]


class Buyer:
    """One learner with a browser's cookie, who goes on after every power cut."""

    def __init__(self, marketplace, app, run):
        self.marketplace = marketplace
        with app.app_context(), transaction():
            person = make_person(locale="en")
            self.person_id = person.id
        cookie, self.token = session_of(app, person)
        self.cookies = {"session": cookie}
        self.run, self.order, self.page = run, "", ""

    def post(self, path, **form):
        return requests.post(
            f"{self.marketplace.address}{path}",
            data={"csrf_token": self.token, **form},
            cookies=self.cookies,
            allow_redirects=False,
            timeout=30,
        )

    def placed(self):
        key = ids.public_id()
        form = {"request_key": key, "shown_minor": "128000", "shown_currency": "CNY"}
        answer = self.post(f"/runs/{self.run}/enrol", **form)
        assert answer.status_code == 303, answer.text
        self.order = answer.headers["Location"]

    def opened(self):
        answer = self.post(f"{self.order}/pay")
        assert "/pay/cs_" in answer.headers["Location"], answer.headers["Location"]
        self.page = re.sub(r"^http://[^/]+", self.marketplace.sandbox, answer.headers["Location"])

    def paid(self):
        form = {"number": "4242424242424242", "then": "close"}
        answer = requests.post(self.page, data=form, allow_redirects=False, timeout=30)
        assert answer.status_code < 400, answer.text

    def told(self):
        """Until the web server has stored an event of the payment, or a moment, if it is handled already."""
        time.sleep(random.uniform(0.05, 0.6))


@pytest.mark.timeout(600)
def test_whoever_has_paid_is_enrolled_once(marketplace, tmp_path):
    secret = marketplace.environment["SECRET_KEY"]
    app = create_app(settings_for(marketplace.environment["DATABASE_URL"], tmp_path, secret_key=secret))
    with app.app_context(), transaction():
        run = make_run(capacity=len(POINTS))
        run_id, public_id = run.id, run.public_id
    marketplace.start()

    buyers = [Buyer(marketplace, app, public_id) for _ in POINTS]
    for buyer, (point, killed) in zip(buyers, POINTS, strict=True):
        for step in ("placed", "opened", "paid", "told"):
            getattr(buyer, step)()
            if step == point:
                marketplace.kill(*killed)
                marketplace.start(*killed)

    with app.app_context():
        _wait_until_all_are_enrolled(marketplace, run_id)
        _check_books(run_id)
        db.session.remove()
        db.engine.dispose()


def _wait_until_all_are_enrolled(marketplace, run_id):
    deadline = time.monotonic() + PATIENCE_SECONDS
    query = select(func.count()).select_from(Enrolment).where(Enrolment.run_id == run_id)
    while db.session.scalar(query) < len(POINTS):
        states = db.session.execute(select(Order.state, PaymentAttempt.state).join(PaymentAttempt)).all()
        assert time.monotonic() < deadline, f"{states}\n{marketplace.log('worker')[-3000:]}"
        db.session.rollback()
        time.sleep(0.5)


def _check_books(run_id):
    people = db.session.scalars(select(Enrolment.person_id).where(Enrolment.ended_at.is_(None))).all()
    assert len(set(people)) == len(people) == len(POINTS)
    assert db.session.get(CourseRun, run_id).seats_taken == len(POINTS)
    assert set(db.session.scalars(select(Order.state))) == {"confirmed"}
    assert db.session.scalars(select(PaymentAttempt.state)).all() == ["paid"] * len(POINTS)
    assert db.session.scalars(select(RefundDue.id)).all() == []
    assert ledger.balances() == {
        (ledger.STRIPE_BALANCE, "CNY"): 128000 * len(POINTS),
        (ledger.UNEARNED_REVENUE, "CNY"): -128000 * len(POINTS),
    }
    assert db.session.scalar(select(func.count()).select_from(StripeEvent)) > 0
