import asyncio

import procrastinate
import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from marketplace.accounts.models import Person
from marketplace.foundation import clock, jobs, mail
from marketplace.foundation.database import (
    TransactionDoomed,
    are_statements_joined,
    db,
    known,
    one_row,
    read_marked,
    read_rows,
    savepoint,
    single_statements,
    transaction,
)
from marketplace.foundation.errors import NotFound
from tests.factories import make_person


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


def test_a_row_written_past_the_orm_is_read_when_it_is_asked_for(app):
    with transaction():
        sent = a_mail()
        db.session.add(sent)
        db.session.flush()
        copied = one_row(
            """INSERT INTO outgoing_mail (message, recipient, locale, subject, text, html, created_at, is_kept)
               SELECT %(message)s, recipient, locale, subject, text, html, created_at, is_kept FROM outgoing_mail
               RETURNING id""",
            {"message": "copy"},
        )
        row = known(mail.OutgoingMail, copied[0], message="copy")

    assert (row.message, row.recipient, mails()) == ("copy", "a@b.cn", 2)


def test_a_connection_that_died_while_it_rested_is_replaced_unnoticed(race_app):
    with race_app.app_context():
        [first] = one_row("SELECT pg_backend_pid()", {})
        db.session.remove()
        with psycopg.connect(db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as other:
            other.execute("SELECT pg_terminate_backend(%s, 1000)", (first,))

        assert db.session.scalar(text("SELECT pg_backend_pid()")) != first
        db.session.remove()


def test_rows_of_a_page_are_read_without_a_transaction(race_app):
    percent = "SELECT CAST(:number AS int) + 1 AS more, 'a%' LIKE 'a%' AS found"
    with race_app.app_context():
        [row] = read_rows(percent, {"number": 1})
        assert (row.more, row.found, db.session().in_transaction()) == (2, True, False)
        # The connection is used again, by sessions whose writes wait for their commit.
        with transaction():
            assert db.session.connection().connection.driver_connection.autocommit is False
            db.session.add(a_mail())
            db.session.flush()
            assert [row.number for row in read_rows("SELECT count(*) AS number FROM outgoing_mail", {})] == [1]
            db.session.rollback()
        assert mails() == 0


def test_a_rollback_keeps_the_statements_that_are_prepared(race_app):
    with race_app.app_context():
        for _ in range(8):
            with pytest.raises(LookupError), transaction():
                assert one_row("SELECT %(number)s + 1", {"number": 1}) == (2,)
                raise LookupError
        driver = db.session.connection().connection.driver_connection
        kept = driver.execute("SELECT statement FROM pg_prepared_statements").fetchall()
        assert ("SELECT $1 + 1",) in kept


def test_a_rollback_undoes_and_ends_a_failed_transaction(race_app):
    with race_app.app_context():
        with pytest.raises(psycopg.errors.DivisionByZero), transaction():
            make_person(email="gone@example.com")
            one_row("SELECT 1 / 0", {})
        assert db.session.scalar(select(Person.id).filter_by(email="gone@example.com")) is None


def test_a_connection_that_died_is_not_used_again(race_app):
    with race_app.app_context():
        pid = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(OperationalError):
            db.session.execute(text("SELECT 1"))
        db.session.rollback()
        assert db.session.scalar(text("SELECT pg_backend_pid()")) != pid


def test_single_statements_are_committed_as_they_end_and_join_a_transaction(race_app):
    with race_app.app_context(), transaction():
        person = make_person(name="Ada")
        assert are_statements_joined()
        with single_statements() as statements:
            assert statements.row("SELECT name FROM person WHERE id = %(id)s", {"id": person.id}) == ("Ada",)
    with race_app.app_context():
        assert not are_statements_joined()
        with single_statements() as statements:
            statements.row("UPDATE person SET name = 'Bo' WHERE id = %(id)s RETURNING id", {"id": person.id})
            with pytest.raises(psycopg.errors.DivisionByZero):
                statements.row("SELECT 1 / 0", {})
            assert statements.rows("SELECT name FROM person", {}) == [("Bo",)]
        assert db.session.scalars(select(Person.name)).all() == ["Bo"]


def test_single_statements_never_leave_a_connection_that_commits_by_itself(race_app):
    with race_app.app_context():
        with pytest.raises(psycopg.errors.AdminShutdown), single_statements() as statements:
            pid = statements.row("SELECT pg_backend_pid()", {})[0]
            with db.engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            statements.row("SELECT 1", {})
        with single_statements() as statements:
            assert statements.row("SELECT pg_backend_pid()", {})[0] != pid
        with pytest.raises(LookupError), transaction():
            make_person(email="gone@example.com")
            raise LookupError
        assert db.session.scalar(select(Person.id).filter_by(email="gone@example.com")) is None


def ask_alone(statement):
    with single_statements() as statements:
        return statements.row(statement, {})


def ask_in_a_transaction(statement):
    with transaction():
        return one_row(statement, {})


@pytest.mark.parametrize("ask", [ask_alone, ask_in_a_transaction])
def test_a_statement_prepared_before_a_migration_mends_itself(race_app, ask):
    with race_app.app_context():
        # A connection of its own, as a migration's is: psycopg forgets what is prepared on the one that alters a table.
        migration = psycopg.connect(db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
        migration.autocommit = True
        migration.execute("CREATE TABLE changing AS SELECT 1 AS a")
        for _ in range(20):
            assert ask("SELECT * FROM changing") == (1,)
        db.session.remove()
        with migration:
            migration.execute("ALTER TABLE changing ADD COLUMN b integer")
        answers = []
        for _ in range(12):
            try:
                answers.append(ask("SELECT * FROM changing"))
            except psycopg.errors.FeatureNotSupported:
                answers.append("outdated")
        # Once for each connection of the pool that had prepared it, and never again.
        assert 1 <= answers.count("outdated") <= 2
        assert answers[-6:] == [(1, None)] * 6


def test_rows_are_read_unless_their_mark_is_known(app):
    statement = (
        "SELECT id, name, profile FROM (VALUES (1, :name, json '[1]'), (2, NULL, NULL)) AS given (id, name, profile)"
    )
    mark, rows = read_marked(statement, {"name": "Ada"})
    assert [(row.id, row.name, row.profile) for row in rows] == [(1, "Ada", [1]), (2, None, None)]

    assert read_marked(statement, {"name": "Ada"}, known=mark) == (mark, [])
    other, rows = read_marked(statement, {"name": "Bo"}, known=mark)
    assert (other != mark, rows[0].name) == (True, "Bo")
    assert read_marked(f"{statement} ORDER BY id DESC", {"name": "Ada"})[0] != mark
    assert read_marked(f"{statement} WHERE id > 2", {"name": "Ada"}, known=mark) == (None, [])
