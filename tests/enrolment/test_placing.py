from __future__ import annotations

import pytest

from marketplace.enrolment import placing
from marketplace.enrolment.placing import RunFacts, Wanted
from marketplace.foundation import clock
from marketplace.foundation.database import one_row, transaction
from marketplace.foundation.errors import NotFound, Refused
from tests.factories import make_person, make_run


def test_the_facts_of_someone_new(app):
    run, person = make_run(), make_person()
    wanted = Wanted(run.id, person.id, "key", "zh")

    with transaction():
        seen = placing.lock_and_look(wanted, now=clock.now())

    assert seen.run == RunFacts(
        "scheduled",
        "published",
        run.enrol_opens_at,
        run.enrol_closes_at,
        20,
        0,
        0,
        128000,
        "CNY",
        False,
        run.zone,
        False,
        run.course_id,
        run.starts_at,
    )
    assert seen.facts == (None, None, None, None, False, False, False, False, None)


def test_a_run_nobody_made_is_not_found(app):
    with pytest.raises(NotFound), transaction():
        placing.lock_and_look(Wanted(0, 0, "key", "zh"), now=clock.now())


def test_a_constraint_speaks_past_the_orm_too(app):
    run = make_run(capacity=1)

    with pytest.raises(Refused, match="ck_course_run_seats_within_capacity"), transaction():
        one_row("UPDATE course_run SET seats_taken = 2 WHERE id = %(id)s RETURNING id", {"id": run.id})
