import asyncio

import procrastinate
import pytest

from marketplace.foundation import clock, jobs, mail
from marketplace.foundation.database import TransactionDoomed, db, savepoint, transaction
from marketplace.foundation.errors import NotFound


def a_mail(key=None):
    return mail.OutgoingMail(
        message="t", recipient="a@b.cn", locale="zh", subject="s", text="t", html="h", key=key, created_at=clock.now()
    )


def mails():
    return db.session.query(mail.OutgoingMail).count()


def test_an_inner_failure_undoes_everything(app):
    with pytest.raises(NotFound), transaction():
        db.session.add(a_mail())
        with transaction():
            raise NotFound

    assert mails() == 0


def test_a_swallowed_inner_failure_cannot_be_committed(app):
    with pytest.raises(TransactionDoomed), transaction():
        db.session.add(a_mail())
        try:
            with transaction():
                raise NotFound
        except NotFound:
            pass

    assert mails() == 0


def test_a_savepoint_may_fail_by_itself(app):
    with transaction():
        db.session.add(a_mail())
        try:
            with savepoint():
                db.session.add(a_mail())
                raise NotFound
        except NotFound:
            pass

    assert mails() == 1


def test_a_job_exists_only_if_its_transaction_commits(app):
    with pytest.raises(NotFound), transaction():
        jobs.enqueue(mail.deliver, mail_id=1)
        raise NotFound
    assert jobs.run_pending() == 0

    with pytest.raises(jobs.NotInTransaction):
        jobs.enqueue(mail.deliver, mail_id=1)


def test_a_job_enqueues_a_job_inside_the_worker(race_app):
    """As a job that writes a mail does: the worker's connector speaks asynchronously, its threads do not."""

    async def as_the_worker_does():
        conninfo = race_app.config["SETTINGS"].database_url.replace("+psycopg", "")
        with jobs.app.replace_connector(procrastinate.PsycopgConnector(conninfo=conninfo)) as connected:
            async with connected.open_async():
                await asyncio.to_thread(enqueue)

    def enqueue():
        with race_app.app_context(), transaction():
            jobs.enqueue(mail.deliver, mail_id=0)

    asyncio.run(as_the_worker_does())
    with race_app.app_context():
        assert jobs.run_pending() == 1
