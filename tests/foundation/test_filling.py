"""What people type into days and numbers is read or refused in words, whatever it is."""

import pytest
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict

from marketplace.foundation.filling import DayField, NumberField
from tests.factories import make_member, make_run, make_staff, sign_in
from tests.funding.made import make_programme, make_subsidy

FAR = "9999-12-31"


class Form(FlaskForm):
    day = DayField()
    number = NumberField()


@pytest.mark.parametrize(
    ("typed", "read"),
    [("2026-05-31", True), ("", True), ("1899-12-31", False), ("2200-01-01", False), (FAR, False), ("soon", False)],
)
def test_a_day_is_one_that_can_be_reckoned_with(app, typed, read):
    with app.test_request_context():
        form = Form(MultiDict({"day": typed}))
        assert (form.validate(), form.day.data is not None) == (read, bool(typed) and read)


@pytest.mark.parametrize(("typed", "read"), [("0", 0), ("999999999", 999999999), ("1000000000", None), ("-1", None)])
def test_a_number_is_one_that_a_column_takes(app, typed, read):
    with app.test_request_context():
        form = Form(MultiDict({"number": typed}))
        assert (form.validate(), form.number.data) == (read is not None, read)


def test_far_days_are_refused_beside_their_field(client):
    run = make_run()
    provider = run.course.providers[0].organisation
    subsidy = make_subsidy(make_programme())
    pool = {"kind": "sponsor", "size": "3", "audience": "organisation", "organisation": provider.public_id}
    sign_in(client, make_member(provider, "owner"))
    sent = [
        (f"/runs/{run.public_id}/seats/new", pool | {"last_day": FAR}),
        (f"/manage/runs/{run.public_id}/minimum", {"minimum": "3", "decide_by": FAR}),
        (f"/manage/runs/{run.public_id}/changes", {"kind": "moved", "reason": "x", "starts_at": f"{FAR}T23:00"}),
        (f"/manage/runs/{run.public_id}/changes", {"kind": "moved", "reason": "x", "starts_at": "0001-01-01T00:00"}),
    ]
    answers = [client.post(address, data=data) for address, data in sent]
    sign_in(client, make_staff("funding_officer"))
    extended = client.post(f"/staff/subsidies/{subsidy.public_id}/extend", data={"last_day": FAR, "reason": "x"})

    assert [(answer.status_code, "请输入日期" in answer.text) for answer in [*answers, extended]] == [(422, True)] * 5
