"""The embedded server: started once by however many ask, again after kill -9, and searchable in Chinese."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from marketplace import embedded_postgres
from marketplace.serve import ROOT


@pytest.fixture
def home():
    """A folder other users may enter, as tmp_path is not: started by root, the server runs as somebody else."""
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else ROOT / "var"  # noqa: S108 - a folder of our own in it
    folder = base / f"marketplace-embedded-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(mode=0o711, parents=True)
    yield folder
    embedded_postgres.stop(folder)
    shutil.rmtree(folder)


def ask(address, query):
    with psycopg.connect(address) as connection:
        return connection.execute(query).fetchone()


def postmaster(home):
    return int((home / "data" / "postmaster.pid").read_text().split()[0])


def test_it_keeps_what_was_committed_over_kill_9(home):
    address = embedded_postgres.start(home)
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    os.kill(postmaster(home), signal.SIGKILL)
    began = time.monotonic()
    again = embedded_postgres.start(home)

    assert time.monotonic() - began < 20
    assert again == address
    assert ask(again, "SELECT answer FROM kept") == (42,)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="only /proc tells who works in a folder")
def test_a_pid_that_is_another_programs_by_now_stops_neither(home):
    embedded_postgres.start(home)
    embedded_postgres.stop(home)
    pid_file = home / "data" / "postmaster.pid"
    user = embedded_postgres._server_user()
    with subprocess.Popen([shutil.which("sleep"), "60"], cwd="/", user=user) as stranger:
        for left_behind in (f"{stranger.pid}\n{home}/data\n", ""):
            pid_file.write_text(left_behind)
            embedded_postgres.stop(home)
            began = time.monotonic()
            assert ask(embedded_postgres.start(home), "SELECT 1") == (1,)
            assert time.monotonic() - began < 20
            embedded_postgres.stop(home)
        assert stranger.poll() is None
        stranger.kill()


def test_many_starts_at_once_make_one_server(home):
    command = [sys.executable, "-m", "marketplace.embedded_postgres", "start", str(home)]

    def start(_):
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(start, range(3)))) == 1


def test_it_demands_the_password_checks_pages_and_reads_chinese(home):
    address = embedded_postgres.start(home)

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address.replace(address.split(":")[2].split("@")[0], "wrong"))
    assert ask(address, "SHOW data_checksums") == ("on",)
    assert ask(address, "SHOW listen_addresses") == ("127.0.0.1",)
    assert ask(address, "SELECT lower('ÉCOLE'), '交互' ~ '^\\w+$'") == ("école", True)


def test_stop_is_orderly_and_may_be_said_twice(home):
    embedded_postgres.start(home)

    embedded_postgres.stop(home)
    embedded_postgres.stop(home)

    assert not (home / "data" / "postmaster.pid").exists()


def test_the_servers_variables_of_the_caller_do_not_mislead_it(home, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "203.0.113.1")

    assert ask(embedded_postgres.start(home), "SELECT 1") == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another user")
def test_root_may_keep_the_checkout_where_nobody_else_can_look(tmp_path):
    tmp_path.chmod(0o700)

    address = embedded_postgres.start(tmp_path)
    assert ask(address, "SELECT 1") == (1,)

    embedded_postgres.stop(tmp_path)
    shutil.rmtree(embedded_postgres.reachable(tmp_path))
