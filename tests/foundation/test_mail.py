from __future__ import annotations

import dataclasses
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from jinja2 import ChoiceLoader, DictLoader

from marketplace.foundation import clock, jobs, mail
from marketplace.foundation.database import db, transaction
from marketplace.foundation.errors import NotFound
from marketplace.foundation.mail import OutgoingMail


@pytest.fixture
def message(app):
    loader = app.jinja_env.loader
    texts = {
        "emails/test/hello.subject.txt": "{{ _('Please sign in to go on.') }}\n",
        "emails/test/hello.txt": "{{ name }}\n\n\n\n{{ _('Please sign in to go on.') }}",
        "emails/test/hello.html": "<p>{{ name }}</p>",
    }
    app.jinja_env.loader = ChoiceLoader([DictLoader(texts), loader])
    yield "test/hello"
    app.jinja_env.loader = loader


def settings(app, **changes):
    return dataclasses.replace(app.config["SETTINGS"], **changes)


def test_mail_reaches_a_server_in_the_language_of_its_reader(app, inbox, message, monkeypatch):
    monkeypatch.setitem(app.config, "SETTINGS", settings(app, smtp_host="127.0.0.1", smtp_port=inbox.port))
    with transaction():
        mail.send(message, to="wen@example.cn", locale="zh", name="<文>")
    jobs.run_pending()

    [taken] = inbox.taken
    assert taken["Subject"] == "请先登录，再继续操作。"
    assert taken["Content-Language"] == "zh-CN"
    assert taken.get_body(("plain",)).get_content().split() == ["<文>", "请先登录，再继续操作。"]
    assert taken.get_body(("html",)).get_content().strip() == "<p>&lt;文&gt;</p>"


@pytest.fixture
def impostor(tmp_path):
    """The port of a server behind TLS, whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    begins = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + timedelta(days=2))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = tmp_path / "impostor.pem"
    pem.write_bytes(private + builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def answer():
        caller, _address = listener.accept()
        with suppress(OSError):
            context.wrap_socket(caller, server_side=True).close()
        caller.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_a_server_nobody_vouches_for_gets_no_mail(app, impostor, message, monkeypatch):
    changes = {"smtp_host": "127.0.0.1", "smtp_port": impostor, "smtp_security": "tls"}
    monkeypatch.setitem(app.config, "SETTINGS", settings(app, **changes))
    with transaction():
        mail.send(message, to="wen@example.cn", locale="en", name="W")

    with pytest.raises(ssl.SSLCertVerificationError):
        jobs.run_pending()


def test_production_keeps_no_copy_of_a_sent_mail(app, inbox, message, monkeypatch):
    changes = {"environment": "production", "smtp_host": "127.0.0.1", "smtp_port": inbox.port}
    monkeypatch.setitem(app.config, "SETTINGS", settings(app, **changes))
    with transaction():
        sent = mail.send(message, to="wen@example.cn", locale="en", name="W")
    assert "W" in sent.text
    jobs.run_pending()

    assert len(inbox.taken) == 1
    assert (sent.text, sent.html, sent.sent_at is not None) == ("", "", True)


def test_one_act_writes_once(app, message):
    with transaction():
        first = mail.send(message, to="wen@example.cn", locale="en", key="order:1", name="W")
        again = mail.send(message, to="wen@example.cn", locale="en", key="order:1", name="W")

    assert first is not None
    assert again is None


def test_without_a_server_a_preview_is_written(app, message):
    with transaction():
        sent = mail.send(message, to="wen@example.cn", locale="en", name="W")
    jobs.run_pending()

    [file] = app.config["SETTINGS"].mail_preview_dir.glob(f"{sent.id:06}.eml")
    assert b"Subject: Please sign in to go on." in file.read_bytes()
    assert mail.get(sent.id).sent_at is not None
    with pytest.raises(NotFound):
        mail.get(0)


def test_a_mail_no_server_takes_stays_and_is_driven_again(app, inbox, message, monkeypatch):
    monkeypatch.setitem(app.config, "SETTINGS", settings(app, smtp_host="127.0.0.1", smtp_port=1))
    with transaction():
        sent = mail.send(message, to="wen@example.cn", locale="en", name="W")
    with pytest.raises(OSError, match="refused"):
        jobs.run_pending()
    assert [name for _id, name, _arguments in jobs.dead_letters()] == ["mail.deliver"]

    monkeypatch.setitem(app.config, "SETTINGS", settings(app, smtp_host="127.0.0.1", smtp_port=inbox.port))
    assert jobs.retry_dead_letters() == 1
    jobs.run_pending()

    assert len(inbox.taken) == 1
    assert db.session.get(mail.OutgoingMail, sent.id).sent_at is not None


def test_a_mail_for_someone_forgotten_leaves_no_row(app, message):
    with transaction():
        mail.send(message, to="wen@example.cn", locale="en", extras=mail.Extras(is_kept=False), name="W")
    jobs.run_pending()

    assert db.session.query(OutgoingMail).count() == 0


def test_old_mails_are_swept_and_younger_ones_kept(app, message):
    with transaction():
        for days in (89, 91):
            written = mail.send(message, to="wen@example.cn", locale="en", name=str(days))
            written.sent_at = clock.now() - timedelta(days=days)
    mail.sweep.func.inner(timestamp=0)

    assert [row.text.split()[0] for row in db.session.query(OutgoingMail)] == ["89"]


def test_forgetting_deletes_a_persons_mails_and_blanks_those_that_name_them(app, message):
    with transaction():
        for to, name in (("wen@example.cn", "Wen"), ("li@example.cn", "about 100%Wen"), ("li@example.cn", "Zhao")):
            mail.send(message, to=to, locale="en", name=name)
    jobs.run_pending()
    previews = app.config["SETTINGS"].mail_preview_dir
    before = len(list(previews.iterdir()))
    with transaction():
        mail.forget(0, ["wen@example.cn"], ["0%Wen"])

    assert [row.text.split()[:1] for row in db.session.query(OutgoingMail).order_by("id")] == [[], ["Zhao"]]
    assert before - len(list(previews.iterdir())) == 2
