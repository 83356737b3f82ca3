"""Mail: written in the recipient's language inside the transaction, sent by a job after it commits."""

from __future__ import annotations

import re
import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import current_app, render_template
from sqlalchemy import Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.foundation import clock, jobs
from marketplace.foundation.database import Model, PrimaryKey, add, db, locked, transaction
from marketplace.foundation.errors import NotFound
from marketplace.foundation.i18n import speaking

if TYPE_CHECKING:
    from config import Settings

TIMEOUT_SECONDS = 20


class OutgoingMail(Model):
    """One mail to one person; `sent_at` is empty until a server has taken it."""

    __tablename__ = "outgoing_mail"
    __table_args__ = (UniqueConstraint("message", "recipient", "key"),)

    id: Mapped[PrimaryKey]
    message: Mapped[str] = mapped_column(Text)
    recipient: Mapped[str] = mapped_column(Text)
    locale: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    html: Mapped[str] = mapped_column(Text)
    # The act that caused it: the same act never writes twice to the same person.
    key: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


def send(message: str, *, to: str, locale: str, key: str | None = None, **context: Any) -> OutgoingMail | None:
    """Write `templates/emails/<message>.{subject.txt,txt,html}` in `locale` and enqueue it; call inside a transaction.

    `key` names the causing act ("order-paid:7f…"): a second mail with the same message, recipient and key is not
    written and None is returned.
    """
    if key is not None and db.session.query(OutgoingMail.id).filter_by(message=message, recipient=to, key=key).first():
        return None
    with speaking(locale):
        subject, text, html = (
            render_template(f"emails/{message}.{kind}", **context, public_url=_settings().public_url)
            for kind in ("subject.txt", "txt", "html")
        )
    mail = add(
        OutgoingMail(
            message=message,
            recipient=to,
            locale=locale,
            subject=" ".join(subject.split()),
            text=re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
            html=html,
            key=key,
            created_at=clock.now(),
            sent_at=None,
        )
    )
    jobs.enqueue(deliver, mail_id=mail.id)
    return mail


@jobs.task(name="mail.deliver", queue="mail")
def deliver(mail_id: int) -> None:
    """Hand one mail to the SMTP server (or write a preview in development) and note that it went.

    The row is not locked while the server is spoken to; a worker killed between the server's yes and the note sends the
    mail a second time with the same Message-ID.
    """
    mail = db.session.get(OutgoingMail, mail_id)
    if mail is None or mail.sent_at is not None:
        return
    settings = _settings()
    written = compose(mail, settings)
    db.session.rollback()
    if settings.smtp_host:
        _submit(written, settings)
    else:
        settings.mail_preview_dir.mkdir(parents=True, exist_ok=True)
        (settings.mail_preview_dir / f"{mail_id:06}.eml").write_bytes(written.as_bytes())
    with transaction():
        sent = locked(OutgoingMail, mail_id)
        sent.sent_at = clock.now()
        if settings.is_production:
            # A mail may hold the key of a link, which is stored nowhere else but as a hash.
            sent.text = sent.html = ""


def list_recent(limit: int = 50) -> list[OutgoingMail]:
    """The newest mails, for the previews of development."""
    return list(db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id.desc()).limit(limit)))


def get(mail_id: int) -> OutgoingMail:
    """One mail; raises NotFound."""
    mail = db.session.get(OutgoingMail, mail_id)
    if mail is None:
        raise NotFound
    return mail


def compose(mail: OutgoingMail, settings: Settings) -> EmailMessage:
    """The mail as it travels: plain text first, HTML as the alternative, with a Message-ID that survives a resend."""
    host = urlsplit(settings.public_url).hostname or "localhost"
    written = EmailMessage()
    written["From"] = settings.mail_from
    written["To"] = mail.recipient
    written["Subject"] = mail.subject
    written["Date"] = format_datetime(mail.created_at)
    written["Message-ID"] = f"<mail-{mail.id}.{int(mail.created_at.timestamp())}@{host}>"
    written["Auto-Submitted"] = "auto-generated"
    written.set_content(mail.text)
    written.add_alternative(mail.html, subtype="html")
    # Last: adding the alternative moves Content-* headers into the first part.
    written["Content-Language"] = "zh-CN" if mail.locale == "zh" else "en"
    return written


def _submit(written: EmailMessage, settings: Settings) -> None:
    kind = smtplib.SMTP_SSL if settings.smtp_security == "tls" else smtplib.SMTP
    with kind(settings.smtp_host or "", settings.smtp_port, timeout=TIMEOUT_SECONDS) as server:
        if settings.smtp_security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password or "")
        server.send_message(written)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
