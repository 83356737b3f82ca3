"""What a journey leaves behind for the next one: nothing that changes what others pay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.funding import programmes
from marketplace.funding.programme_models import FundingProgramme
from tests.factories import make_staff
from tests.live import Marketplace


@pytest.fixture(autouse=True)
def _close_what_was_opened(request: pytest.FixtureRequest) -> Iterator[None]:
    """Journeys share one marketplace: a programme opened in one of them would pay for the seats of all that follow."""
    if "live" not in request.fixturenames:
        yield
        return
    live: Marketplace = request.getfixturevalue("live")
    assert live.app is not None
    with live.app.app_context():
        before = set(db.session.scalars(db.select(FundingProgramme.id)))
    yield
    with live.app.app_context():
        opened = set(db.session.scalars(db.select(FundingProgramme.id))) - before
        officer = make_staff("funding_officer").id if opened else 0
        for programme in sorted(opened):
            programmes.close(programme, is_closed=True, actor_id=officer, now=clock.now())


@pytest.fixture(autouse=True)
def _close_the_pages(request: pytest.FixtureRequest) -> Iterator[None]:
    """Pages left open go on asking how an order stands, and take the time of those that follow."""
    yield
    if "browser" in request.fixturenames:
        for context in request.getfixturevalue("browser").contexts:
            context.close()
