"""A movement that was closed with a note while its money stood in suspense waits again; others stay closed."""

from __future__ import annotations

import psycopg
from flask_migrate import upgrade

from marketplace.foundation.database import db
from tests.migrations.test_data import empty as empty
from tests.migrations.test_tax_of_lines import NOW, put


def test_what_was_closed_with_a_note_waits_again_if_its_money_still_stands(empty):
    app, address = empty
    with app.app_context():
        upgrade(revision="0054")
        db.session.remove()
    with psycopg.connect(address, autocommit=True) as connection:
        person = put(connection, "person", public_id="p", email="p@example.com", locale="zh", time_zone="Asia/Shanghai")
        closed = {"kind": "unknown_movement", "resolved_at": NOW, "note": "seen"}
        for name in ("stands", "known", "none"):
            put(connection, "discrepancy", public_id=name, reference=name, resolved_by_id=person, **closed)
        put(connection, "discrepancy", public_id="itself", reference="itself", **closed)
        for key in ("unmatched:stands", "unmatched:known", "known:known", "unmatched:itself"):
            put(connection, "ledger_transaction", key=key, kind="unmatched")
    with app.app_context():
        upgrade()
        db.session.remove()
    with psycopg.connect(address) as connection:
        waiting = connection.execute("SELECT public_id FROM discrepancy WHERE resolved_at IS NULL").fetchall()
        assert waiting == [("stands",)]
