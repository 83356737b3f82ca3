"""Every revision applied over data: each one's tables are filled before the next is applied, and nothing is lost."""

import re
import secrets

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from marketplace import create_app
from marketplace.foundation.database import db
from tests.conftest import run_sql, settings_for
from tests.migrations.filling import count_rows, fill


@pytest.fixture
def empty(server, tmp_path):
    """The application on a database without a single table."""
    name = f"from_nothing_{secrets.token_hex(4)}"
    run_sql(server, "CREATE DATABASE {}", name)
    app = create_app(settings_for(f"{server}/{name}", tmp_path))
    yield app, f"{server}/{name}"
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    run_sql(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def test_every_revision_is_applied_over_the_data_of_the_one_before(empty):
    app, address = empty
    directory = app.extensions["migrate"].directory
    config = Config(f"{directory}/alembic.ini")
    config.set_main_option("script_location", directory)
    revisions = [script.revision for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]
    held: dict[str, int] = {}
    shapes: dict[str, object] = {}
    for number, revision in enumerate(revisions):
        with app.app_context():
            command.upgrade(config, revision)
            db.session.remove()
        with psycopg.connect(address, autocommit=True) as connection:
            kept = count_rows(connection)
            assert {table: count for table, count in held.items() if kept.get(table, count) < count} == {}, revision
            held = fill(connection, number, shapes)

    assert {re.sub(r"_.*", "", table) for table in held} >= {"person", "course", "order", "consent", "erasure"}
    assert min(held.values()) >= 1
