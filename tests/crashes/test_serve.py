"""bin/serve as a person at a terminal meets it: first start, kill -9, second start, and the refusals of production."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from threading import Timer

import psycopg
import pytest

from config import SANDBOX_STRIPE_KEY
from marketplace import embedded_postgres, serve
from tests.inbox import free_port

FIT_FOR_PRODUCTION = {
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "PUBLIC_URL": "https://courses.example.org",
    "STRIPE_SECRET_KEY": "sk_live_of_a_test",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_a_test",
    "SMTP_HOST": "127.0.0.1",
}


@pytest.fixture
def run(make_database, tmp_path):
    """Start bin/serve's program with what it keeps in a folder of the test's own; ends all of them."""
    started = []
    kept = {
        "DATABASE_URL": make_database(),
        "MARKETPLACE_VAR": str(tmp_path),
        "MARKETPLACE_DEMO": "none",
        "PORT": str(free_port()),
        "SANDBOX_PORT": str(free_port()),
        "PATH": os.environ["PATH"],
    }

    def start(*arguments, **environment):
        # Where the tests themselves run under nohup, what they start would inherit that, and rightly outlive a SIGHUP.
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        process = subprocess.Popen(
            [sys.executable, "-m", "marketplace.serve", *arguments],
            env=kept | environment,
            cwd=serve.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGHUP, before)
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def address(process):
    """Where it says it is."""
    for line in process.stdout:
        if found := re.search(r"https?://\S+", line):
            return found[0]
    raise AssertionError(process.stderr.read())


def answer(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def test_a_second_start_in_one_checkout_is_refused(run):
    address(run())

    second = run()

    assert second.wait(timeout=60) == 1
    assert second.stderr.read() == "bin/serve runs in this checkout already.\n"


def test_more_threads_than_connections_are_refused(run):
    process = run(WEB_THREADS="5", DATABASE_POOL="4")

    assert process.wait(timeout=60) == 1
    assert process.stderr.read().splitlines()[-1] == "DATABASE_POOL (4) must be at least WEB_THREADS (5)."


def test_after_kill_9_of_everything_but_its_children_it_starts_again_at_the_same_address(run, tmp_path):
    first = run()
    before = address(first)
    children = json.loads((tmp_path / "running.json").read_text())
    os.kill(first.pid, signal.SIGKILL)
    first.wait()

    assert address(run()) == before
    assert answer(f"{before}/healthz") == {"status": "ok"}
    assert set(json.loads((tmp_path / "running.json").read_text()).values()).isdisjoint(children.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_stops_in_order_and_leaves_nothing(run, tmp_path, number):
    process = run()
    address(process)
    children = json.loads((tmp_path / "running.json").read_text())

    process.send_signal(number)

    assert process.wait(timeout=60) == 0
    assert not (tmp_path / "running.json").exists()
    for pid in children.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_stopped_while_it_prepares_it_leaves_no_database(run, tmp_path):
    process = run(DATABASE_URL="", MARKETPLACE_DEMO="")
    home = embedded_postgres.reachable(tmp_path / "postgres")
    deadline = time.monotonic() + 60
    while not (home / "data" / "postmaster.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=60) == 0
    assert not embedded_postgres._someone_works_in(home / "data")
    assert not (home / "data" / "postmaster.pid").exists()
    shutil.rmtree(home)


def test_a_pause_before_a_new_start_ends_with_the_signal(app, tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "RUNNING", tmp_path / "running.json")
    processes = serve._Processes({"broken": ["false"]}, dict(os.environ), app)
    processes._start("broken")
    processes.pauses["broken"] = 20
    began, first = time.monotonic(), processes.running["broken"]
    Timer(0.3, processes._stop, (signal.SIGTERM, None)).start()

    processes._restart("broken", first.wait())

    assert time.monotonic() - began < 3
    assert processes.running["broken"] is first


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_a_port_of_somebody_else_is_refused(name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"PORT": "0", "SANDBOX_PORT": "0", name: port}

        with pytest.raises(serve.Refusal, match=f"Nothing can listen on port {port} of 127.0.0.1"):
            serve._demand_ports(ports, {"web": [], "sandbox": []})


@pytest.mark.parametrize("port", ["abc", "99999", "-1", "80 81"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(serve.Refusal, match="PORT must be the number of a port"):
        serve._demand_ports({"PORT": port}, {"web": []})


def test_a_mistyped_argument_starts_nothing(run):
    process = run("--prodution")

    assert process.wait(timeout=60) == 2
    assert process.stderr.read() == "usage: bin/serve [--production]\n"


def test_it_starts_again_what_dies(run, tmp_path):
    where = address(run())
    worker = json.loads((tmp_path / "running.json").read_text())["worker"]

    os.killpg(worker, signal.SIGKILL)

    deadline = time.monotonic() + 30
    while json.loads((tmp_path / "running.json").read_text())["worker"] == worker:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer(f"{where}/healthz") == {"status": "ok"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is the public development key"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is shorter"),
        ({"PUBLIC_URL": "http://courses.example.org"}, "PUBLIC_URL is not https"),
        ({"STRIPE_SECRET_KEY": SANDBOX_STRIPE_KEY}, "payments would go to the sandbox"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:1"}, "payments would go to the sandbox"),
        ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET is the sandbox's"),
        ({"SMTP_HOST": ""}, "SMTP_HOST is not set"),
        ({"MARKETPLACE_CLOCK_OFFSET": "60"}, "MARKETPLACE_CLOCK_OFFSET shifts the clock"),
    ],
)
def test_production_refuses_what_is_unsafe(run, change, said):
    process = run("--production", **(FIT_FOR_PRODUCTION | change))

    assert process.wait(timeout=60) == 1
    assert said in process.stderr.read()


def test_production_refuses_demo_accounts_and_starts_without_them(run, make_database):
    url = make_database()
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO person (public_id, email, name, locale, time_zone, active, fs_uniquifier, is_demo, created_at)"
            " VALUES ('a', 'a@example.com', 'A', 'zh', 'Asia/Shanghai', true, 'a', true, now())"
        )
    asked_by_name = run(**FIT_FOR_PRODUCTION, DATABASE_URL=url, MARKETPLACE_ENV="production")
    assert asked_by_name.wait(timeout=60) == 1
    assert "demo accounts" in asked_by_name.stderr.read()
    refused = run("--production", **FIT_FOR_PRODUCTION, DATABASE_URL=url)
    assert refused.wait(timeout=60) == 1
    assert "demo accounts" in refused.stderr.read()

    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM person")
    assert address(run("--production", **FIT_FOR_PRODUCTION, DATABASE_URL=url)) == FIT_FOR_PRODUCTION["PUBLIC_URL"]
