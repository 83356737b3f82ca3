"""The same crowd through the front door: gunicorn's processes and threads, cookies, CSRF and forms."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import requests
from flask import session
from flask_wtf.csrf import generate_csrf
from sqlalchemy import func, select

from marketplace import create_app
from marketplace.accounts import sign_ins
from marketplace.accounts.security import KEY
from marketplace.catalog.models import CourseRun
from marketplace.enrolment.models import Order
from marketplace.foundation import clock, ids
from marketplace.foundation.database import db, transaction
from tests.conftest import settings_for
from tests.factories import make_person, make_run

PEOPLE, SEATS, CONNECTIONS = 500, 100, 32


def browser_of(app, person):
    """The cookie and the form's token of someone who is signed in, made without 500 visits to the sign-in page."""
    with app.test_request_context():
        key = sign_ins.begin(person, user_agent="race", address="127.0.0.1", is_remembered=False, now=clock.now())
        session.update({KEY: key, "_user_id": person.fs_uniquifier, "_fresh": True})
        token = generate_csrf()
        return app.session_interface.get_signing_serializer(app).dumps(dict(session)), token


def test_500_posts_by_32_connections_for_100_seats_sell_exactly_100(marketplace, tmp_path):
    database, secret = marketplace.environment["DATABASE_URL"], marketplace.environment["SECRET_KEY"]
    app = create_app(settings_for(database, tmp_path, secret_key=secret))
    with app.app_context(), transaction():
        run = make_run(capacity=SEATS)
        url, run_id = f"{marketplace.address}/runs/{run.public_id}/enrol", run.id
        people = [make_person(locale="en") for _ in range(PEOPLE)]
    # Outside: a token is kept in the application context, and each visitor needs one of their own.
    visitors = [browser_of(app, person) for person in people]
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
