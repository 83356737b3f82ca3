"""Alembic's entry: applies the numbered files of versions/ over the application's own engine, one transaction each."""

from __future__ import annotations

from alembic import context
from flask import current_app

from marketplace.foundation.database import Base

database = current_app.extensions["migrate"].db


def run() -> None:
    """Apply migrations; an advisory lock keeps two starting processes from applying them at once."""
    with database.engine.connect() as connection:
        # A migration of large tables takes its time; requests may not.
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("SELECT pg_advisory_lock(4210031)")
        connection.commit()
        context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.exec_driver_sql("SELECT pg_advisory_unlock(4210031)")
        connection.exec_driver_sql("RESET statement_timeout")
        connection.commit()


run()
