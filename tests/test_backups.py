"""A backup is made while things run, and what comes back is compared to the row."""

import dataclasses

import psycopg
import pytest
from flask_migrate import upgrade
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from config import Settings
from marketplace import backups, create_app
from marketplace.backups import BackupError
from marketplace.enrolment import orders
from marketplace.foundation import clock, health, ids, jobs
from marketplace.foundation.database import db, transaction
from marketplace.payments import ledger
from marketplace.payments.models import LedgerEntry
from tests.buying import place_order
from tests.conftest import settings_for
from tests.factories import make_person, make_run


@pytest.fixture
def lived_in(race_app):
    """A marketplace where somebody bought a seat, with a picture somebody uploaded."""
    settings = race_app.config["SETTINGS"]
    with race_app.app_context():
        run, person, now = make_run(), make_person(name="李娜"), clock.now()
        order = place_order(run.id, person.id, shown_price=run.price, request_key=ids.public_id(), locale="zh", now=now)
        with transaction():
            orders.confirm_payment(order.id, attempt_public_id="a1", amount=order.total, now=now)
            entries = {ledger.STRIPE_BALANCE: order.total, ledger.UNEARNED_REVENUE: -order.total}
            ledger.post("payment:a1", "payment", entries, order_id=order.id, occurred_at=now)
        jobs.run_pending()
        db.session.remove()
    (settings.media_dir / "courses").mkdir(parents=True)
    (settings.media_dir / "courses" / "cover.webp").write_bytes(b"a picture")
    return settings


@pytest.fixture
def elsewhere(make_database, tmp_path):
    """Settings of another machine: an empty, migrated database and no media."""
    return settings_for(make_database(), tmp_path / "elsewhere")


def facts(settings: Settings):
    app = create_app(settings)
    with app.app_context():
        found = db.session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"))
        counts = {table: text(f'SELECT count(*) FROM "{table}"') for table in found.scalars()}
        counted = {table: db.session.execute(count).scalar() for table, count in counts.items()}
        balances = ledger.balances()
        names = db.session.execute(text("SELECT name FROM person")).scalars().all()
        parts = health.readiness()
        db.session.remove()
        db.engine.dispose()
    return counted, balances, names, parts


def test_what_was_backed_up_comes_back_to_the_row(lived_in, elsewhere, tmp_path):
    manifest = backups.make(tmp_path / "backup", lived_in, now=clock.now())
    assert manifest.ledger["stripe_balance CNY"] == 128000
    assert manifest.rows["order"] == 1
    backups.restore(tmp_path / "backup", elsewhere)

    before, after = facts(lived_in), facts(elsewhere)
    assert after[:3] == before[:3]
    assert after[2] == ["李娜"]
    assert {part: after[3][part] for part in ("database", "migrations")} == {"database": "ok", "migrations": "ok"}
    assert (elsewhere.media_dir / "courses" / "cover.webp").read_bytes() == b"a picture"


def test_the_restored_marketplace_works_on(lived_in, elsewhere, tmp_path):
    backups.make(tmp_path / "backup", lived_in, now=clock.now())
    backups.restore(tmp_path / "backup", elsewhere)

    app = create_app(elsewhere)
    with app.app_context():
        upgrade()
        make_run()
        with pytest.raises(Exception, match="append-only"), transaction():
            db.session.query(LedgerEntry).update({"amount_minor": 0})
        db.session.remove()
        db.engine.dispose()


def test_a_changed_file_is_not_trusted(lived_in, elsewhere, tmp_path):
    backups.make(tmp_path / "backup", lived_in, now=clock.now())
    dump = tmp_path / "backup" / backups.DUMP
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)

    with pytest.raises(BackupError, match=r"not as they were written: database\.dump"):
        backups.restore(tmp_path / "backup", elsewhere)
    with pytest.raises(BackupError, match="holds no backup"):
        backups.check(tmp_path)


def test_people_are_not_overwritten_by_accident(lived_in, tmp_path):
    backups.make(tmp_path / "backup", lived_in, now=clock.now())

    with pytest.raises(BackupError, match="holds people"):
        backups.restore(tmp_path / "backup", lived_in)
    with pytest.raises(BackupError, match="exists already"):
        backups.make(tmp_path / "backup", lived_in, now=clock.now())
    backups.restore(tmp_path / "backup", lived_in, may_replace=True)


def test_a_half_made_backup_is_no_backup(lived_in, tmp_path):
    broken = dataclasses.replace(lived_in, database_url=lived_in.database_url + "_that_never_was")
    with pytest.raises(psycopg.OperationalError):
        backups.make(tmp_path / "backup", broken, now=clock.now())
    assert not (tmp_path / "backup").exists()


def test_by_command(lived_in, race_app, tmp_path):
    runner = race_app.test_cli_runner()
    folder = str(tmp_path / "backup")
    assert "revision" in runner.invoke(args=["backup", "make", folder]).output
    assert runner.invoke(args=["backup", "check", folder]).exit_code == 0
    assert runner.invoke(args=["backup", "restore", folder]).exit_code == 1


def test_the_programs_connect_as_the_marketplace_does():
    """Each parameter of the address: by the environment, as libpq names it, or where it has no name there, in words."""
    address = (
        "postgresql://yi%20jiang:p%40ss@db.example.org:5433/market?sslmode=verify-full&sslrootcert=/etc/ca.pem"
        "&options=-c%20statement_timeout%3D0&target_session_attrs=read-write&keepalives_idle=30"
    )
    environment, target = backups.handed_over(address, {"PATH": "/bin", "PGSSLCERT": "/etc/own.pem", "PGHOST": "other"})

    assert environment == {
        "PATH": "/bin",
        # What the address leaves open the marketplace takes from here, too.
        "PGSSLCERT": "/etc/own.pem",
        "PGHOST": "db.example.org",
        "PGPORT": "5433",
        "PGUSER": "yi jiang",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "market",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/etc/ca.pem",
        "PGOPTIONS": "-c statement_timeout=0",
        "PGTARGETSESSIONATTRS": "read-write",
    }
    # Everybody on the machine reads the words of a command: no password is among them.
    assert conninfo_to_dict(target) == {"dbname": "market", "keepalives_idle": "30"}


def test_a_secret_that_could_only_be_shown_to_everybody_is_refused():
    with pytest.raises(BackupError, match="sslpassword"):
        backups.handed_over("postgresql://db/market?sslpassword=x", {})


def test_a_database_behind_tls_is_dumped_by_the_machines_program(tmp_path, monkeypatch):
    """The wheel's own was made without TLS."""
    found = tmp_path / "pg_dump"
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert backups._program("pg_dump", {"PGSSLMODE": "verify-full"}) == str(found)
    assert backups._program("pg_dump", {}) != str(found)
    found.unlink()
    assert backups._program("pg_dump", {"PGSSLMODE": "require"}).endswith("pg_dump")


def test_an_address_with_parameters_is_backed_up_and_restored(lived_in, elsewhere, tmp_path):
    def told(settings):
        address = f"{settings.database_url}?sslmode=disable&application_name=drill&keepalives_idle=30"
        return dataclasses.replace(settings, database_url=address)

    made = backups.make(tmp_path / "backup", told(lived_in), now=clock.now())

    assert backups.restore(tmp_path / "backup", told(elsewhere)) == made
