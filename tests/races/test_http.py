"""The same crowd through the front door: gunicorn's processes and threads, cookies, CSRF and forms."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import requests
from sqlalchemy import func, select

from marketplace import create_app
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Order
from marketplace.foundation import ids
from marketplace.foundation.database import db, transaction
from tests.conftest import settings_for
from tests.factories import make_person, make_run, session_of

PEOPLE, SEATS, CONNECTIONS = 500, 100, 32


def test_500_posts_by_32_connections_for_100_seats_sell_exactly_100(marketplace, tmp_path):
    database, secret = marketplace.environment["DATABASE_URL"], marketplace.environment["SECRET_KEY"]
    app = create_app(settings_for(database, tmp_path, secret_key=secret))
    with app.app_context(), transaction():
        run = make_run(capacity=SEATS)
        url, run_id = f"{marketplace.address}/runs/{run.public_id}/enrol", run.id
        people = [make_person(locale="en") for _ in range(PEOPLE)]
    # Outside: a token is kept in the application context, and each visitor needs one of their own.
    visitors = [session_of(app, person) for person in people]
    marketplace.start("web")

    def enrol(share):
        answers = []
        with requests.Session() as connection:
            for cookie, token in share:
                form = {"csrf_token": token, "request_key": ids.public_id(), "shown_minor": "128000"}
                answer = connection.post(
                    url,
                    data=form | {"shown_currency": "CNY"},
                    cookies={"session": cookie},
                    headers={"Accept-Language": "en"},
                    allow_redirects=False,
                    timeout=60,
                )
                is_full = answer.status_code == 409 and "This run is sold out." in answer.text
                answers.append("taken" if answer.status_code == 303 else "full" if is_full else answer.text)
        return answers

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        shares = [visitors[start::CONNECTIONS] for start in range(CONNECTIONS)]
        answers = Counter(answer for answered in pool.map(enrol, shares) for answer in answered)

    assert answers == {"taken": SEATS, "full": PEOPLE - SEATS}
    with app.app_context():
        assert db.session.get(CourseRun, run_id).seats_taken == SEATS
        assert db.session.scalar(select(func.count()).select_from(Order)) == SEATS
        db.session.remove()
        db.engine.dispose()
