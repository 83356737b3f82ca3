"""Work after the commit: jobs are enqueued inside the transaction and exist only if it commits.

A job runs at least once, so every task is idempotent. A failing job is retried with growing waits, unless another
with its key waits, which will do its work: then it ends as `aborted`. After the last try it stays in the table as
`failed` (the dead letters), where `flask jobs retry` drives it again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import procrastinate
import structlog
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from sqlalchemy import text

from marketplace.foundation import clock, measures
from marketplace.foundation.database import db, is_in_transaction, savepoint, transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flask import Flask
    from procrastinate.tasks import Task

log = structlog.get_logger("jobs")

RETRIES = 8
# 2 s, 4 s … 8.5 min after the failure, together about 17 minutes before a job is a dead letter.
RETRY = procrastinate.RetryStrategy(max_attempts=RETRIES, exponential_wait=2)
STALLED_AFTER_SECONDS = 60
KEEP_FINISHED_HOURS = 24 * 14


class _Manager(JobManager):
    """Lets a failed job end where another with its key waits: it does the same work, and only one of a key may wait.

    Procrastinate would pass over the database's refusal, and the job would count as being done while the worker lives.
    """

    async def retry_job(self, job: procrastinate.jobs.Job, *arguments: Any, **options: Any) -> None:
        try:
            await super().retry_job(job, *arguments, **options)
        except UniqueViolation:
            log.warning("job left to its twin", job=job.id, task_name=job.task_name)
            await self.finish_job(job, status=Status.ABORTED, delete_job=False)


# Replaced by a connected one in the worker; the web process only inserts on its own connection.
app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
app.job_manager = _Manager(app.connector)
# Jobs are inserted by this one also inside the worker, whose own connector speaks asynchronously only.
_inserting = JobManager(procrastinate.SyncPsycopgConnector())
_flask: list[Flask] = []


class NotInTransaction(RuntimeError):
    """A job was enqueued outside `transaction()`: it could exist though the act it follows does not."""


def task(
    *, name: str, retry: bool = True, queue: str = "default"
) -> Callable[[Callable[..., None]], Task[..., Any, Any]]:
    """Make a function a task named `room.verb`; its arguments are JSON values (ids, texts)."""

    def decorate(function: Callable[..., None]) -> Task[..., Any, Any]:
        return app.task(name=name, queue=queue, retry=RETRY if retry else False)(_in_app(function, name))

    return decorate


def periodic(*, cron: str, name: str, queue: str = "default") -> Callable[[Callable[[], None]], Task[..., Any, Any]]:
    """Make a function without arguments a task run on a cron schedule in UTC; a second one never waits beside it."""

    def decorate(function: Callable[[], None]) -> Task[..., Any, Any]:
        def run(timestamp: int) -> None:
            log.debug("tick", task_name=name, due=timestamp)
            function()

        registered = app.task(name=name, queue=queue, retry=False, queueing_lock=name)(_in_app(run, name))
        app.periodic(cron=cron)(registered)
        return registered

    return decorate


def enqueue(
    to_run: Task[..., Any, Any], *, key: str | None = None, at: datetime | None = None, **arguments: Any
) -> int | None:
    """Insert a job in the open transaction; its id, or None if one with the same `key` is waiting already."""
    if not is_in_transaction():
        message = f"{to_run.name} was enqueued outside transaction()"
        raise NotInTransaction(message)
    try:
        with savepoint():
            connection = db.session.connection().connection.driver_connection
            job = to_run.configure(connection=connection, queueing_lock=key, schedule_at=at)
            job.job_manager = _inserting
            return job.defer(**arguments)
    except AlreadyEnqueued:
        return None


def _in_app(function: Callable[..., None], name: str) -> Callable[..., None]:
    """Run the task with an application context and a session of its own."""

    def run(**arguments: Any) -> None:
        with _flask[0].app_context():
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(task_name=name)
            try:
                function(**arguments)
                measures.count_job(name, "succeeded")
            except Exception as error:
                measures.count_job(name, "failed")
                # Procrastinate tells of a job it will try again at a level too low to be seen.
                log.exception("job failed", kind=type(error).__name__)
                raise
            finally:
                db.session.remove()

    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    run.inner = function  # type: ignore[attr-defined]  # run_pending() calls it in the session of the test
    return run


def init_app(flask_app: Flask) -> None:
    """Remember the application that tasks run in."""
    _flask[:] = [flask_app]


def run_pending(limit: int = 200) -> int:
    """Run the jobs due now in this process and session, oldest first; returns how many. For tests and `flask jobs run`.

    A task that fails raises here; its job is marked failed.
    """
    done = 0
    while done < limit:
        with transaction():
            row = db.session.execute(text(_TAKE), {"now": clock.now()}).one_or_none()
        if row is None:
            return done
        _run_one(row.id, row.task_name, row.args)
        done += 1
    message = f"more than {limit} jobs: do they enqueue one another for ever?"
    raise RuntimeError(message)


def _run_one(job_id: int, name: str, arguments: dict[str, Any]) -> None:
    function = app.tasks[name].func
    inner = getattr(function, "inner", function)
    try:
        inner(**arguments)
    except BaseException:
        with transaction():
            db.session.execute(text(_FINISH), {"id": job_id, "status": "failed"})
        raise
    with transaction():
        db.session.execute(text(_FINISH), {"id": job_id, "status": "succeeded"})


_TAKE = """
UPDATE procrastinate_jobs SET status = 'doing', attempts = attempts + 1
 WHERE id = (SELECT id FROM procrastinate_jobs
              WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= :now)
              ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, task_name, args
"""
_FINISH = "UPDATE procrastinate_jobs SET status = CAST(:status AS procrastinate_job_status) WHERE id = :id"
# Only one job of a key may wait: of several dead ones the newest does, and none if another is waiting already.
_REVIVE = """
WITH dead AS (
    SELECT id, row_number() OVER (PARTITION BY coalesce(queueing_lock, id::text) ORDER BY id DESC) = 1
               AND NOT EXISTS (SELECT FROM procrastinate_jobs AS other
                                WHERE other.status = 'todo' AND other.queueing_lock = job.queueing_lock) AS is_needed
      FROM procrastinate_jobs AS job
     WHERE status = 'failed' AND (CAST(:id AS bigint) IS NULL OR id = CAST(:id AS bigint))
)
UPDATE procrastinate_jobs AS job
   SET status = CAST(CASE WHEN is_needed THEN 'todo' ELSE 'cancelled' END AS procrastinate_job_status),
       attempts = 0, scheduled_at = NULL
  FROM dead WHERE job.id = dead.id
RETURNING job.id
"""


class DeadLetter(NamedTuple):
    """A job that failed for the last time."""

    id: int
    task: str
    arguments: dict[str, Any]


def dead_letters(*, after: int = 0, limit: int | None = None) -> list[DeadLetter]:
    """Jobs that failed for the last time, oldest first, from the id `after` on; all of them without a limit."""
    query = "SELECT id, task_name, args FROM procrastinate_jobs WHERE status = 'failed' AND id > :after ORDER BY id"
    rows = db.session.execute(text(f"{query} LIMIT :limit"), {"after": after, "limit": limit})
    return [DeadLetter(*row) for row in rows]


def count_dead_letters() -> int:
    """How many there are, read from the index of failed jobs alone."""
    query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'"
    return int(db.session.scalar(text(query)) or 0)


def retry_dead_letters(job_id: int | None = None) -> int:
    """Put one failed job, or all of them, back in the queue; returns how many.

    Of those with one key a single one waits, as it does the work of all.
    """
    with transaction():
        return len(db.session.execute(text(_REVIVE), {"id": job_id}).all())


def give_up_dead_letter(job_id: int) -> bool:
    """Take a failed job off the dead letters for good; False if it is not one."""
    give_up = "UPDATE procrastinate_jobs SET status = 'cancelled' WHERE id = :id AND status = 'failed' RETURNING id"
    with transaction():
        return db.session.execute(text(give_up), {"id": job_id}).first() is not None


def run_worker(database_url: str, *, concurrency: int = 2) -> None:
    """Run jobs until told to stop. Jobs of a killed worker are retried once its heartbeat is older than a minute."""
    asyncio.run(_run_worker(database_url.replace("+psycopg", ""), concurrency))


async def _run_worker(conninfo: str, concurrency: int) -> None:
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, kwargs={"options": "-c timezone=UTC"})
    with app.replace_connector(connector) as connected:
        async with connected.open_async():
            await connected.run_worker_async(
                concurrency=concurrency,
                wait=True,
                fetch_job_polling_interval=2.0,
                shutdown_graceful_timeout=30,
                stalled_worker_timeout=STALLED_AFTER_SECONDS,
                update_heartbeat_interval=10,
                delete_jobs="never",
            )


@app.periodic(cron="* * * * *")
@app.task(name="jobs.retry_stalled", pass_context=True, queueing_lock="jobs.retry_stalled")
async def retry_stalled(context: procrastinate.JobContext, timestamp: int) -> None:
    """Put back jobs whose worker died in the middle (kill -9): they would stay `doing` for ever."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_SECONDS):
        log.warning("stalled job put back", job=job.id, task_name=job.task_name, tick=timestamp)
        await manager.retry_job(job)


@app.periodic(cron="17 3 * * *")
@app.task(name="jobs.delete_old", pass_context=True, queueing_lock="jobs.delete_old")
async def delete_old(context: procrastinate.JobContext, timestamp: int) -> None:
    """Forget what was done, or left to a twin, two weeks ago; failed jobs stay until someone drives them again."""
    log.info("old jobs deleted", tick=timestamp)
    await context.app.job_manager.delete_old_jobs(nb_hours=KEEP_FINISHED_HOURS, include_aborted=True)
