"""A movement that was closed with a note while its money stood in suspense waits again; others stay closed."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.migrations.test_data import empty as empty
from tests.migrations.test_tax_of_lines import NOW, migrate, put


def test_what_was_closed_with_a_note_waits_again_if_its_money_still_stands(empty):
    app, address = empty
    migrate(app, "0054")
    with psycopg.connect(address, autocommit=True) as connection:
        person = put(connection, "person", public_id="p", email="p@example.com", locale="zh", time_zone="Asia/Shanghai")
        closed = {"kind": "unknown_movement", "resolved_at": NOW, "note": "seen"}
        for name in ("stands", "known", "none"):
            put(connection, "discrepancy", public_id=name, reference=name, resolved_by_id=person, **closed)
        put(connection, "discrepancy", public_id="itself", reference="itself", **closed)
        put(connection, "discrepancy", public_id="open", reference="open", kind="unknown_movement")
        for key in (
            "unmatched:open",
            "known:open",
            "unmatched:stands",
            "unmatched:known",
            "known:known",
            "unmatched:itself",
        ):
            put(connection, "ledger_transaction", key=key, kind="unmatched")
    migrate(app, "head")
    with psycopg.connect(address) as connection:
        waiting = connection.execute("SELECT public_id FROM discrepancy WHERE resolved_at IS NULL").fetchall()
        assert waiting == [("stands",)]


def test_the_payer_of_bank_money_is_named_in_its_row_alone(empty):
    app, address = empty
    migrate(app, "0060")
    with psycopg.connect(address, autocommit=True) as connection:
        person = put(connection, "person", public_id="p", email="p@example.com", locale="zh", time_zone="Asia/Shanghai")
        told = Jsonb({"payer": "Zhuge", "day": "2026-03-09"})
        put(connection, "discrepancy", public_id="d", reference="d", kind="unknown_transfer", details=told)
        put(
            connection, "staff_act", kind="bank_money_recorded", person_id=person, subject="x", reason="x", details=told
        )
    migrate(app, "head")
    with psycopg.connect(address) as connection:
        for table in ("discrepancy", "staff_act"):
            [row] = connection.execute(f"SELECT details FROM {table}").fetchall()
            assert row == ({"day": "2026-03-09"},)
        with pytest.raises(psycopg.errors.RaiseException):
            connection.execute("UPDATE staff_act SET details = '{}'")
