"""TERM under load: what was begun is finished, and nobody is answered with half a page."""

import asyncio
import http.client
import signal
import threading
import time

from marketplace import create_app
from marketplace.foundation import mail
from marketplace.foundation.database import db, transaction
from marketplace.foundation.mail import OutgoingMail
from tests.conftest import settings_for

THREADS = 6


def visit(port, stop, answers):
    """Ask for a page again and again; notes the status, "refused" when nobody listens, or what went wrong."""
    while not stop.is_set():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/courses", headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
            answers.append(answer.status if body.rstrip().endswith(b"</html>") else "half a page")
        except ConnectionRefusedError:
            answers.append("refused")
            return
        except (ConnectionResetError, http.client.RemoteDisconnected):
            # Accepted by the system after the server stopped listening: nothing of it was begun.
            answers.append("not taken")
            return
        except OSError as error:
            answers.append(repr(error))
        finally:
            connection.close()


def test_the_web_server_finishes_what_it_began(marketplace):
    marketplace.start("web")
    stop, answers = threading.Event(), []
    visitors = [threading.Thread(target=visit, args=(marketplace.port, stop, answers)) for _ in range(THREADS)]
    for visitor in visitors:
        visitor.start()
    while len(answers) < 3 * THREADS:
        time.sleep(0.02)

    web = marketplace.processes.pop("web")
    web.send_signal(signal.SIGTERM)
    status = web.wait(timeout=30)
    stop.set()
    for visitor in visitors:
        visitor.join(timeout=30)

    assert status == 0
    assert set(answers) <= {200, "refused", "not taken"}
    assert answers.count("not taken") <= THREADS
    assert answers.count(200) >= 3 * THREADS


def slow_down(inbox):
    """Let the SMTP server think for two seconds about each mail; gives the event that says it has begun to."""
    is_asked, take = threading.Event(), inbox.handle_DATA

    async def think(server, session, envelope):
        is_asked.set()
        await asyncio.sleep(2)
        return await take(server, session, envelope)

    inbox.handle_DATA = think
    return is_asked


def test_the_worker_finishes_its_job_and_takes_no_other(marketplace, inbox, tmp_path):
    is_asked = slow_down(inbox)
    app = create_app(settings_for(marketplace.environment["DATABASE_URL"], tmp_path))
    with app.app_context():
        with transaction():
            mail.send("accounts/password_changed", to="a@example.com", locale="en", person={"name": "A"})
        db.session.remove()
    marketplace.start("worker")
    assert is_asked.wait(timeout=60), marketplace.log("worker")

    worker = marketplace.processes.pop("worker")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=40) == 0
    assert [taken["To"] for taken in inbox.taken] == ["a@example.com"]
    with app.app_context():
        assert db.session.query(OutgoingMail).one().sent_at is not None
        db.session.remove()
        db.engine.dispose()
