from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.accounts.models import OrganisationKind
from marketplace.catalog import search
from marketplace.catalog.entry_models import CourseEntry
from marketplace.catalog.search import Wish
from marketplace.enrolment import subsidised_runs
from marketplace.foundation import clock
from marketplace.foundation.database import db, transaction
from marketplace.foundation.money import Money
from marketplace.funding import programmes
from marketplace.funding.subsidy_rules import Named, Rule
from tests.factories import make_course, make_organisation, make_run, make_staff
from tests.funding.made import make_programme

DAY = timedelta(days=1)


@pytest.fixture
def now(app):
    clock.set_to(clock.now())
    return clock.now()


def indexed(course, now):
    with transaction():
        db.session.refresh(course)
        search.index_course(course, now=now)


def found(now):
    """The courses behind the facet, as the list shows them."""
    page = search.find_courses(Wish(facets=("subsidised:yes",)), now=now)
    assert page.counts.get("subsidised:yes", 0) == len(page.courses)
    return {card.id for card in page.courses}


def test_the_facet_follows_a_programme_from_its_opening_to_its_end(now):
    run, officer = make_run(), make_staff("funding_officer")
    indexed(run.course, now)
    assert subsidised_runs.mark_all(now=now) == 0

    programme = make_programme()
    assert (subsidised_runs.mark_all(now=now), found(now)) == (1, {run.course_id})
    assert subsidised_runs.mark_all(now=now) == 0
    programmes.close(programme.id, is_closed=True, actor_id=officer.id, now=now)
    assert (subsidised_runs.mark_all(now=now), found(now)) == (1, set())
    programmes.close(programme.id, is_closed=False, actor_id=officer.id, now=now)
    assert (subsidised_runs.mark_all(now=now), found(now)) == (1, {run.course_id})
    assert subsidised_runs.mark_all(now=now + 20 * DAY) == 1


def test_a_run_is_marked_by_what_the_rule_asks_of_the_course_alone(now):
    partner = make_organisation(kind=OrganisationKind.INDUSTRY_PARTNER)
    taught, other = make_run(make_course(partner)), make_run()
    free, late = make_run(make_course(partner), price_minor=0), make_run(taught.course, starts_at=now + 28 * DAY)
    for run in (taught, other, free, late):
        indexed(run.course, now)
    rule = Rule(percent=50, regions=("310000",), first_time_only=True, provider_kinds=("industry_partner",))
    # A day of the run's zone, which after four in the afternoon is a day ahead of UTC's.
    make_programme(rule=rule, runs_from=(now + 29 * DAY).astimezone(taught.tzinfo).date())

    subsidised_runs.mark_all(now=now)
    marks = {run.id: run.is_subsidised for run in (taught, other, free, late)}
    assert marks == {taught.id: True, other.id: False, free.id: False, late.id: False}


def test_a_course_that_changes_is_marked_by_the_next_pass(now):
    make_programme(rule=Rule(percent=50, modes=("online",)))
    run = make_run()
    indexed(run.course, now)
    subsidised_runs.mark_all(now=now)
    assert run.is_subsidised is False

    with transaction():
        run.mode = "online"
    indexed(run.course, now)
    assert (subsidised_runs.mark_all(now=now), run.is_subsidised) == (1, True)


def test_an_empty_budget_pays_for_nothing(now):
    programme = make_programme(budget=30000, rule=Rule(fixed_minor=20000))
    run = make_run()
    indexed(run.course, now)
    assert subsidised_runs.mark_all(now=now) == 1

    officer = make_staff("funding_officer")
    programmes.deposit(programme.id, Money(-15000, "CNY"), reference="taken back", actor_id=officer.id, now=now)
    assert (subsidised_runs.mark_all(now=now), run.is_subsidised) == (1, False)


def test_a_rule_of_a_skill_names_a_course_that_teaches_it(now):
    make_programme(rule=Rule(percent=50, skills=(Named(1, "三维", "3-D"),)))
    run = make_run()
    indexed(run.course, now)
    assert subsidised_runs.mark_all(now=now) == 0


def test_a_pass_looks_at_what_was_indexed_since_the_last_one(now):
    make_programme()
    runs = [make_run() for _ in range(3)]
    for run in runs:
        indexed(run.course, now)
    assert subsidised_runs.mark_all(now=now) == 3
    # A mark that somebody turned outside the verbs, on a course nobody touched since: the pass does not read it.
    with transaction():
        for course in {run.course for run in runs}:
            db.session.get_one(CourseEntry, course.id).indexed_at = now - DAY
        runs[0].is_subsidised = False
    assert subsidised_runs.mark_all(now=now) == 0
