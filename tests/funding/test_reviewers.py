from __future__ import annotations

from datetime import timedelta

import pytest

from marketplace.foundation import clock
from marketplace.foundation.errors import Refused
from marketplace.funding import subsidies
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.subsidy_states import State
from tests.factories import make_staff, sign_in
from tests.funding.made import make_programme, make_subsidy


def test_nobody_decides_about_what_they_applied_for_themselves(client):
    officer = make_staff("funding_officer")
    subsidy = make_subsidy(make_programme(rule=Rule(percent=50, needs_review=True)), officer)
    last_day = (subsidy.earn_by + timedelta(days=9)).date()
    own = {"actor_id": officer.id, "now": clock.now()}

    for act in (
        lambda: subsidies.approve(subsidy.id, note="", **own),
        lambda: subsidies.reject(subsidy.id, reason="no", **own),
        lambda: subsidies.extend(subsidy.id, last_day, reason="illness", **own),
    ):
        with pytest.raises(Refused, match="own_subsidy"):
            act()
    assert subsidy.state == State.APPLIED

    sign_in(client, officer)
    address = f"/staff/subsidies/{subsidy.public_id}"
    page = client.get(f"{address}?lang=en").text
    assert ("This application is your own" in page, f"{address}/approve" in page) == (True, False)
    subsidies.approve(subsidy.id, note="", actor_id=make_staff("funding_officer").id, now=clock.now())
    assert subsidy.state == State.RESERVED
