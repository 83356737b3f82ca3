"""Migrations: numbered in one line, applied from nothing, and equal to the models at the end."""

import re

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from marketplace.foundation.database import Base, db
from marketplace.foundation.health import head_revision

# The queue's tables are procrastinate's own (migration 0001 holds its SQL); others are named where they are made.
FOREIGN_TABLES = re.compile(r"^procrastinate_|^alembic_version$")


def directory(app):
    config = Config()
    config.set_main_option("script_location", app.extensions["migrate"].directory)
    return ScriptDirectory.from_config(config)


def test_revisions_are_numbered_in_one_line(app):
    revisions = sorted(directory(app).walk_revisions(), key=lambda script: script.revision)

    numbers = [script.revision for script in revisions]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert [script.down_revision for script in revisions] == [None, *numbers[:-1]]
    assert head_revision() == directory(app).get_current_head()


def test_migrations_make_exactly_the_models(app):
    connection = db.session.connection()
    # `app` is here for its database, which was made by the migrations alone.
    context = MigrationContext.configure(connection, opts={"include_object": _is_ours, "compare_type": True})

    differences = [str(difference) for difference in compare_metadata(context, Base.metadata)]
    assert differences == []


def _is_ours(_item, name, kind, _reflected, _compared):
    return not (kind == "table" and name and FOREIGN_TABLES.search(name))
