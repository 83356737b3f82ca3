"""The session, the only committer, and the row lock."""

from __future__ import annotations

import select
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import psycopg
from flask_sqlalchemy import SQLAlchemy
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import BigInteger, DateTime, Engine, Identity, MetaData, TypeDecorator, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DisconnectionError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, make_transient_to_detached, mapped_column, registry
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key
from sqlalchemy.pool import Pool

from marketplace.foundation import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.engine import Dialect
    from sqlalchemy.pool import ConnectionPoolEntry

# Names of constraints are part of the contract: a violated one becomes a sentence (errors.constraint).
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# A connection that rested longer than this is asked for a sign of life before it is used.
RESTED_SECONDS = 30
DEPTH = "transaction_depth"
DOOMED = "transaction_doomed"
# A statement was prepared before a migration changed what it returns.
OUTDATED = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)


class UtcDateTime(TypeDecorator[datetime]):
    """`timestamptz` that refuses naive moments and gives back aware ones in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuse a moment whose zone nobody wrote down."""
        if value is not None and value.tzinfo is None:
            message = f"naive moment {value!r}: say which zone it is in"
            raise ValueError(message)
        return value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Give the moment in UTC whatever the session's zone."""
        return None if value is None else value.astimezone(UTC)


Row = TypeVar("Row", bound="Base")
PrimaryKey = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]


class Base(DeclarativeBase):
    """The mapped classes of all rooms; `Mapped[datetime]` is `timestamptz`, `Mapped[int]` is `bigint`."""

    metadata = MetaData(naming_convention=NAMING)
    registry = registry(metadata=metadata, type_annotation_map={datetime: UtcDateTime, int: BigInteger})


db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class TransactionDoomed(RuntimeError):
    """An inner transaction failed and someone swallowed the error: committing would keep half of a use case."""


@contextmanager
def transaction() -> Iterator[None]:
    """Commit when the outermost block ends well, roll everything back when any block fails.

    Inner blocks join. An IntegrityError of a registered constraint becomes its Refused. To try something and go on
    after its refusal, use `savepoint()`.
    """
    session = db.session()
    depth = session.info.get(DEPTH, 0)
    session.info[DEPTH] = depth + 1
    try:
        yield
        _finish(outermost=depth == 0)
    except BaseException as error:
        session.info[DOOMED] = True
        if depth == 0:
            session.rollback()
        refusal = _refusal_of(error)
        if refusal is not None:
            raise refusal from error
        raise
    finally:
        session.info[DEPTH] = depth
        if depth == 0:
            session.info.pop(DOOMED, None)


def _finish(*, outermost: bool) -> None:
    session = db.session()
    if session.info.get(DOOMED):
        message = "an inner transaction failed and its error was swallowed; use savepoint() to go on after a refusal"
        raise TransactionDoomed(message)
    if outermost:
        session.commit()
    else:
        session.flush()


@contextmanager
def savepoint() -> Iterator[None]:
    """Part of a transaction that may fail by itself: its error undoes this block alone and may be caught outside it."""
    session = db.session()
    doomed = session.info.get(DOOMED)
    try:
        with session.begin_nested():
            yield
    except BaseException as error:
        if not doomed:
            session.info.pop(DOOMED, None)
        refusal = _refusal_of(error)
        if refusal is not None:
            raise refusal from error
        raise


def _refusal_of(error: BaseException) -> errors.Refused | None:
    """What the violated constraint says to people, whether the ORM or a statement of `one_row` met it."""
    cause = error.orig if isinstance(error, IntegrityError) else error
    return errors.from_constraint(cause) if isinstance(cause, psycopg.IntegrityError) else None


def is_in_transaction() -> bool:
    """Whether a `transaction()` block is open here."""
    return bool(db.session().info.get(DEPTH, 0))


def locked(model: type[Row], row_id: int) -> Row:
    """The row as it is now, locked FOR NO KEY UPDATE until the transaction ends; raises NotFound."""
    row = db.session.get(model, row_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise errors.NotFound
    return row


def add(row: Row) -> Row:
    """Insert the row at once, so that its constraints speak here; returns it with its id."""
    db.session.add(row)
    db.session.flush()
    return row


def one_row(statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The first row of a statement on the session's connection, past SQLAlchemy: for paths where each statement counts.

    `statement` takes psycopg's `%(name)s` places; psycopg prepares it when it has been seen some times. Rows that the
    ORM still holds back are not written first. Call inside a transaction.
    """
    return _driver().execute(statement, values).fetchone()


@dataclass(frozen=True, slots=True)
class Statements:
    """Runs statements past SQLAlchemy, in psycopg's words."""

    driver: psycopg.Connection[tuple[Any, ...]]

    def row(self, statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row."""
        return self.driver.execute(statement, values).fetchone()

    def rows(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Every row."""
        return self.driver.execute(statement, values).fetchall()


@contextmanager
def single_statements() -> Iterator[Statements]:
    """Statements that are each a whole transaction: committed by PostgreSQL as they end.

    Only for a use case that writes with one of them. Inside a `transaction()` they join it like any other.
    """
    if are_statements_joined():
        with transaction():
            yield Statements(_driver())
        return
    connection = db.engine.raw_connection()
    driver: psycopg.Connection[tuple[Any, ...]] = connection.driver_connection  # type: ignore[assignment]
    is_sound = True
    try:
        driver.autocommit = True
        yield Statements(driver)
    except OUTDATED:
        is_sound = False
        raise
    finally:
        # Never back into the pool but as it came: a connection that still commits each statement would break whoever
        # gets it next.
        if is_sound and driver.info.transaction_status == TransactionStatus.IDLE:
            driver.autocommit = False
        else:
            connection.invalidate()
        connection.close()


def are_statements_joined() -> bool:
    """Whether `single_statements` would be part of a transaction that is open here."""
    if db.session.registry.has():
        return is_in_transaction() or not isinstance(db.session.get_bind(), Engine)
    return db.session.session_factory.kw.get("bind") is not None


def _driver() -> psycopg.Connection[tuple[Any, ...]]:
    return db.session.connection().connection.driver_connection  # type: ignore[return-value]


def read_rows(statement: str, values: Mapping[str, Any]) -> list[Any]:
    """The rows of a statement that changes nothing, past the ORM: for the pages that are read most.

    `statement` takes SQLAlchemy's `:name` places. In an open transaction of the session it sees what that wrote;
    otherwise it is alone on a connection of its own, without the round trips that begin and end a transaction. Rows
    have names, and compare as tuples.
    """
    sql, session = _driver_text(statement), db.session()
    if session.in_transaction() or not isinstance(session.get_bind(), Engine):
        return _driver().cursor(row_factory=namedtuple_row).execute(sql, values).fetchall()
    with single_statements() as statements:
        return statements.driver.cursor(row_factory=namedtuple_row).execute(sql, values).fetchall()


_MARKED = """
WITH shown AS MATERIALIZED ({statement}),
     mark AS (SELECT hash_array_extended(array_agg(hashtextextended(CAST(shown AS text), 0)), 0) AS mark FROM shown)
SELECT mark.mark AS mark, shown.* FROM mark LEFT JOIN shown ON mark.mark IS DISTINCT FROM CAST(:known_mark AS bigint)
"""


def read_marked(statement: str, values: Mapping[str, Any], *, known: int | None = None) -> tuple[int | None, list[Any]]:
    """A mark of all that `read_rows` would give, and the rows; no rows when the mark is the one `known`.

    Equal rows in the same order have the same mark, of 64 bits; no rows have none. So what was made of rows is known
    to be true still without moving and reading them again.
    """
    rows = read_rows(_MARKED.format(statement=statement), {**values, "known_mark": known})
    mark: int | None = rows[0].mark
    return mark, [] if mark is None or mark == known else rows


@lru_cache(maxsize=256)
def _driver_text(statement: str) -> str:
    return str(text(statement).compile(dialect=PGDialect_psycopg()))  # type: ignore[no-untyped-call]


def known(model: type[Row], row_id: int, **values: object) -> Row:
    """A row this transaction has just written past the ORM; what is not in `values` is read when it is asked for."""
    row = model(id=row_id)
    make_transient_to_detached(row)
    for name, value in values.items():
        set_committed_value(row, name, value)
    db.session.add(row)
    return row


def forget(model: type[Row], row_id: int, *names: str) -> None:
    """Let a row that the ORM may have in hand read these columns again: they were written past it."""
    row = db.session.identity_map.get(identity_key(model, row_id)) if db.session.registry.has() else None
    if row is not None:
        db.session.expire(row, names)


class _Connection(psycopg.Connection[Any]):
    """A connection that keeps its prepared statements over a ROLLBACK.

    psycopg drops all of them then (DEALLOCATE ALL), since the transaction may have made what they speak of. Ours make
    nothing but rows, and every page that only reads ends with a ROLLBACK: each would parse and plan all its statements
    anew.
    """

    def rollback(self) -> None:
        """End the transaction, if there is one, and undo what it did. What failed is prepared anew."""
        if self.pgconn.transaction_status != TransactionStatus.INTRANS:
            super().rollback()
            return
        with self.lock:
            result = self.pgconn.exec_(b"ROLLBACK")
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.OperationalError(result.error_message.decode(errors="replace"))


@event.listens_for(Engine, "do_connect")
def _connect(_dialect: Dialect, _record: object, cargs: Sequence[Any], cparams: dict[str, Any]) -> object:
    return _Connection.connect(*cargs, **cparams)


@event.listens_for(Pool, "checkin")
def _note_rest(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info["rests_since"] = time.monotonic()


@event.listens_for(Pool, "checkout")
def _check_alive(connection: psycopg.Connection[Any], entry: ConnectionPoolEntry, _proxy: object) -> None:
    """Refuse a dead connection, so that the pool opens another.

    A server that went away closes the socket, which then is readable: seen without a round trip. Only a connection
    that rested for long (a firewall may have forgotten it) is asked over the wire.
    """
    rests_since = entry.info.pop("rests_since", None)
    if rests_since is None:
        return
    try:
        socket = select.poll()
        socket.register(connection.fileno(), select.POLLIN)
        if socket.poll(0) or time.monotonic() - rests_since > RESTED_SECONDS:
            connection.execute("SELECT 1")
            connection.rollback()
    except (psycopg.Error, OSError, ValueError) as error:
        raise DisconnectionError from error


def engine_options(pool_size: int = 10) -> dict[str, Any]:
    """Options of the engine: sessions in UTC, and no wait or idle transaction that lasts for ever (milliseconds)."""
    settings = "-c timezone=UTC -c lock_timeout=10000 -c statement_timeout=60000"
    settings += " -c idle_in_transaction_session_timeout=60000"
    return {
        "pool_size": pool_size,
        "max_overflow": 5,
        # A failed statement is told without its values: they are people's, and its text ends in the logs.
        "hide_parameters": True,
        "connect_args": {"options": settings, "application_name": "marketplace"},
    }
