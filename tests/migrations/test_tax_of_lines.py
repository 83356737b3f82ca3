"""Lines that are there get the terms the books have used, or else those of whoever led the course on their day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
from flask_migrate import upgrade
from psycopg import sql
from psycopg.types.json import Jsonb

from marketplace.foundation.database import db
from tests.migrations.test_data import empty as empty

NEEDED = """
SELECT column_name, data_type FROM information_schema.columns
 WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
   AND is_generated = 'NEVER'
"""
NOW = datetime.now(UTC)
PLAIN = {"text": "x", "boolean": False, "timestamp with time zone": NOW, "jsonb": Jsonb({}), "ARRAY": []}


def migrate(app, revision):
    """Apply every migration up to this one."""
    with app.app_context():
        upgrade(revision=revision)
        db.session.remove()


def put(connection, table, **values):
    """Write a row past every model, whose columns are those of today; its id."""
    needed = {name: PLAIN.get(kind, 0) for name, kind in connection.execute(NEEDED, [table])}
    row = needed | values
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    return connection.execute(statement, row).fetchone()[0]


def sell(connection, run, person, name, placed_at):
    state = {"state": "confirmed", "locale": "zh", "currency": "CNY", "confirmed_at": NOW, "placed_at": placed_at}
    order = put(connection, "order", public_id=name, person_id=person, total_minor=106000, request_key=name, **state)
    put(connection, "order_line", order_id=order, run_id=run, price_minor=106000, due_minor=106000)
    return order


def test_a_line_gets_the_terms_it_was_posted_by_or_those_of_whoever_led_the_course_then(empty):
    app, address = empty
    migrate(app, "0051")
    with psycopg.connect(address, autocommit=True) as connection:
        seller, heir = (put(connection, "organisation", public_id=name, kind="university") for name in ("s", "h"))
        course = put(connection, "course", public_id="c", state="draft", level="introductory")
        put(connection, "course_provider", course_id=course, organisation_id=seller, role="lead", position=1)
        dates = {"starts_at": NOW, "ends_at": NOW + timedelta(days=1), "zone": "Asia/Shanghai", "capacity": 20}
        words = {"state": "draft", "currency": "CNY", "mode": "online", "language": "zh"}
        run = put(connection, "course_run", public_id="r", course_id=course, **words, **dates)
        person = put(connection, "person", public_id="p", email="p@example.com", locale="zh", time_zone="Asia/Shanghai")
        put(connection, "revenue_terms", version=2, organisation_id=heir, valid_from=NOW - timedelta(days=99), tax=300)
        posted = sell(connection, run, person, "posted", NOW - timedelta(days=2))
        sell(connection, run, person, "before", NOW - timedelta(days=1))
        put(connection, "course_provider", course_id=course, organisation_id=heir, role="lead", position=0)
        sell(connection, run, person, "after", NOW + timedelta(days=1))
        put(connection, "ledger_transaction", key="e", kind="earned", order_id=posted, details=Jsonb({"terms": 2}))
    migrate(app, "head")
    with psycopg.connect(address) as connection:
        lines = "SELECT revenue_terms_version, tax_minor FROM order_line ORDER BY order_id"
        assert connection.execute(lines).fetchall() == [(2, 3087), (1, 6000), (2, 3087)]
