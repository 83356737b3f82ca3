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


def test_a_job_that_fails_while_its_twin_waits_leaves_the_work_to_it(race_app):
    """Put back in the queue it would be the second of its key there, which the database refuses."""
    done = []

    def fail_once():
        done.append("run")
        if len(done) == 1:
            with transaction():
                jobs.enqueue(task, key="twins")
            message = "the first time it fails"
            raise RuntimeError(message)

    task = jobs.task(name="tests.twins")(fail_once)
    with race_app.app_context(), transaction():
        first = jobs.enqueue(task, key="twins")
    address = race_app.config["SETTINGS"].database_url.replace("+psycopg", "")

    async def work():
        connector = procrastinate.PsycopgConnector(conninfo=address)
        with jobs.app.replace_connector(connector) as connected:
            async with connected.open_async():
                await connected.run_worker_async(
                    wait=False, concurrency=1, listen_notify=False, install_signal_handlers=False, delete_jobs="never"
                )

    try:
        asyncio.run(work())
    finally:
        del jobs.app.tasks["tests.twins"]

    with race_app.app_context():
        ours = text("SELECT id, status::text FROM procrastinate_jobs WHERE task_name = 'tests.twins' ORDER BY id")
        found = db.session.execute(ours).all()
    assert [status for _, status in found] == ["aborted", "succeeded"]
    assert (found[0].id, done) == (first, ["run", "run"])
