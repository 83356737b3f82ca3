"""Jobs that died: put back once each, however many there are of one key."""

import asyncio
from types import SimpleNamespace

import procrastinate
import pytest
from sqlalchemy import text

from marketplace.foundation import jobs
from marketplace.foundation.database import db, transaction


def write_job(name, status, key=None, worker_id=None):
    """A row as the worker leaves it; its id."""
    insert = """
        INSERT INTO procrastinate_jobs (queue_name, task_name, status, queueing_lock, args, worker_id)
        VALUES ('default', :name, CAST(:status AS procrastinate_job_status), :key, '{}', :worker_id) RETURNING id
    """
    with transaction():
        values = {"name": name, "status": status, "key": key, "worker_id": worker_id}
        return db.session.execute(text(insert), values).scalar_one()


def statuses():
    return dict(db.session.execute(text("SELECT id, status::text FROM procrastinate_jobs")).all())


def test_dead_letters_of_one_key_wait_once(app):
    old, new = write_job("a", "failed", "a"), write_job("a", "failed", "a")
    other, waiting = write_job("b", "failed", "b"), write_job("b", "todo", "b")
    plain, alike = write_job("c", "failed"), write_job("c", "failed")

    assert jobs.retry_dead_letters() == 5
    assert statuses() == {
        old: "cancelled",
        new: "todo",
        other: "cancelled",
        waiting: "todo",
        plain: "todo",
        alike: "todo",
    }


@pytest.mark.parametrize("waits", [True, False])
def test_one_dead_letter_is_driven_again(app, waits):
    dead, quiet = write_job("a", "failed", "a"), write_job("b", "failed", "b")
    if waits:
        write_job("a", "todo", "a")

    assert jobs.retry_dead_letters(dead) == 1
    assert (statuses()[dead], statuses()[quiet]) == ("cancelled" if waits else "todo", "failed")
    assert jobs.retry_dead_letters(dead) == 0


def test_a_stalled_job_whose_work_waits_already_does_not_keep_the_others(race_app):
    with race_app.app_context():
        doubled = write_job("a", "doing", "a")
        waiting = write_job("a", "todo", "a")
        others = [write_job("b", "doing"), write_job("c", "doing", "c")]
        address = race_app.config["SETTINGS"].database_url.replace("+psycopg", "")

    async def tick():
        connector = procrastinate.PsycopgConnector(conninfo=address)
        with jobs.app.replace_connector(connector) as connected:
            async with connected.open_async():
                await jobs.retry_stalled.func(SimpleNamespace(app=connected), 0)

    asyncio.run(tick())

    with race_app.app_context():
        assert statuses() == {doubled: "aborted", waiting: "todo", **dict.fromkeys(others, "todo")}
