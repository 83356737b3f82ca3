"""Figures for Prometheus, and who may see them."""

import dataclasses
import re

import pytest

from marketplace.foundation import measures
from tests.factories import make_run


def value(page, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return found and float(found[1])


def test_requests_are_counted_by_rule_and_status(client):
    run = make_run()
    name = 'marketplace_request_seconds_count{method="GET",rule="/courses/<public_id>",status="200"}'
    before = value(client.get("/metrics").text, name) or 0
    client.get(f"/courses/{run.course.public_id}")

    page = client.get("/metrics").text
    assert value(page, name) == before + 1
    assert run.course.public_id not in page, "addresses may tell of people"


def test_a_method_somebody_makes_up_is_no_new_row(client):
    client.open("/healthz", method="MADEUP")

    page = client.get("/metrics").text
    assert 'method="other",rule="none",status="405"' in page
    assert "MADEUP" not in page


def test_the_database_is_asked_anew(client):
    page = client.get("/metrics").text
    for name in ("jobs_waiting", "jobs_dead", "mails_unsent", "holds_live", "holds_overdue", "discrepancies_open"):
        assert value(page, f"marketplace_{name}") == 0, name


def test_jobs_are_counted_by_outcome(client):
    measures.count_job("test.job", "failed")
    name = 'marketplace_jobs_total{outcome="failed",task="test.job"}'
    assert value(client.get("/metrics").text, name) == 1


@pytest.mark.parametrize(
    ("token", "headers", "address", "status"),
    [
        (None, {}, "127.0.0.1", 200),
        (None, {}, "::1", 200),
        (None, {}, "203.0.113.7", 404),
        (None, {"X-Forwarded-For": "203.0.113.7"}, "127.0.0.1", 404),
        ("a long token", {}, "127.0.0.1", 404),
        ("a long token", {"Authorization": "Bearer another"}, "127.0.0.1", 404),
        ("a long token", {"Authorization": "Bearer a long token"}, "203.0.113.7", 200),
    ],
)
def test_who_may_see(app, client, monkeypatch, token, headers, address, status):
    monkeypatch.setitem(app.config, "SETTINGS", dataclasses.replace(app.config["SETTINGS"], metrics_token=token))
    answer = client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == status
