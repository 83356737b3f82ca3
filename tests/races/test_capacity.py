"""Seats sold while their number is lowered and raised: never more taken than there are."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from marketplace.catalog import runs
from marketplace.catalog.authoring import EditedMeanwhile
from marketplace.catalog.models import CourseRun
from marketplace.enrolment import seats
from marketplace.enrolment.rules import RunFull
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import Invalid
from tests.factories import make_person, make_run


def test_capacity_is_lowered_while_seats_are_taken(race_app):
    with race_app.app_context(), transaction():
        run_id = make_run(capacity=60).id
        people = [make_person() for _ in range(60)]
        ids, actor = [person.id for person in people], people[0]

    def take(person_id):
        with race_app.app_context():
            try:
                seats.hold_seat(run_id, person_id, now=clock.now())
            except RunFull:
                return "full"
            return "taken"

    def lower(capacity):
        with race_app.app_context():
            run = db.session.get_one(CourseRun, run_id)
            values, version = {name: getattr(run, name) for name in runs.SAVED}, run.version
            db.session.rollback()
            try:
                runs.save_run(run_id, values | {"capacity": capacity}, version=version, actor=actor, now=clock.now())
            except (Invalid, EditedMeanwhile):
                return "refused"
            return "lowered"

    with ThreadPoolExecutor(16) as pool:
        lowered = [pool.submit(lower, capacity) for capacity in (50, 40, 30, 20, 45, 35, 25)]
        answers = Counter(pool.map(take, ids))
        Counter(future.result() for future in lowered)

    with race_app.app_context():
        run = db.session.get_one(CourseRun, run_id)
        assert answers["taken"] == run.seats_taken <= run.capacity


def test_two_planners_at_once_change_the_number_once(race_app):
    with race_app.app_context(), transaction():
        run = make_run(capacity=10)
        run_id, actor = run.id, make_person()
        values = {name: getattr(run, name) for name in runs.SAVED}

    def change(capacity):
        with race_app.app_context():
            try:
                runs.save_run(run_id, values | {"capacity": capacity}, version=1, actor=actor, now=clock.now())
            except EditedMeanwhile:
                return "told"
            return "saved"

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(change, range(11, 27))) == {"saved": 1, "told": 15}
