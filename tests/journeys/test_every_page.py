"""Every page looked at once with axe, in the light and in the dark, alternately in each language and size.

tests/architecture/test_routes.py holds the list of pages complete.
"""

from __future__ import annotations

import pytest
from sqlalchemy import select

from marketplace.accounts.models import Person
from marketplace.foundation.database import db
from tests.journeys.every_page import DOORS, path_of
from tests.journeys.visitor import DESK, PHONE, Visitor

EYES = (("zh", PHONE), ("en", DESK), ("en", PHONE), ("zh", DESK))


@pytest.mark.parametrize("who", sorted({door.who for door in DOORS}))
def test_every_page_is_fit_to_be_seen_in_the_light_and_in_the_dark(browser, live, who):
    with live.app.app_context():
        person = db.session.scalars(select(Person).filter_by(email=f"{who}@demo.example")).one_or_none()
        assert person or not who
        paths = [path_of(live.app, door) for door in DOORS if door.who == who]
    eyes = [Visitor(browser, live, language, size) for language, size in EYES]
    for visitor in eyes:
        if person is not None:
            visitor.be(person).speak()
    faults = [fault for number, path in enumerate(paths) if (fault := _fault(eyes[number % len(eyes)], path))]
    assert faults == [], "\n".join(faults)


def _fault(visitor, path):
    """What is wrong with a page, or nothing."""
    answer = visitor.page.goto(path)
    if answer.status != 200:
        return f"{path} answers {answer.status}"
    try:
        visitor.look()
    except AssertionError as found:
        return str(found)
    wider = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return f"{path} is {wider} pixels wider than the window" if wider > 0 else ""
