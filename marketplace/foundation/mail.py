"""Mail: written in the recipient's language inside the transaction, sent by a job after it commits."""

from __future__ import annotations

import re
import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import current_app, render_template
from sqlalchemy import Text, UniqueConstraint, delete, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.foundation import clock, jobs
from marketplace.foundation.database import Model, PrimaryKey, add, db, locked, transaction
from marketplace.foundation.errors import NotFound
from marketplace.foundation.i18n import gettext, speaking

if TYPE_CHECKING:
    from collections.abc import Iterable

    from config import Settings

TIMEOUT_SECONDS = 20
# Long enough to find out what somebody was told, and to recognise a repeated act.
KEPT_FOR = timedelta(days=90)
STUCK_FOR = timedelta(days=7)


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
    # An iCalendar that travels with it, and where one click stops mails of its kind.
    calendar: Mapped[str | None] = mapped_column(Text)
    unsubscribe_url: Mapped[str | None] = mapped_column(Text)
    # Whom it is for, as accounts number people: the address may change, and being forgotten takes all of them.
    reader_id: Mapped[int | None]
    # The last mail to someone who is forgotten leaves no row behind.
    is_kept: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Extras:
    """What a mail carries besides words: an iCalendar, an address that stops its kind, and whether its row stays."""

    calendar: str | None = None
    unsubscribe_url: str | None = None
    is_kept: bool = True
    reader_id: int | None = None


PLAIN = Extras()


def send(
    message: str, *, to: str, locale: str, key: str | None = None, extras: Extras = PLAIN, **context: Any
) -> OutgoingMail | None:
    """Write `templates/emails/<message>.{subject.txt,txt,html}` in `locale` and enqueue it; call inside a transaction.

    `key` names the causing act ("order-paid:7f…"): a second mail with the same message, recipient and key is not
    written and None is returned. Mails to a person go through accounts.letters.write, which asks what they want.
    """
    if key is not None and db.session.query(OutgoingMail.id).filter_by(message=message, recipient=to, key=key).first():
        return None
    context |= {"public_url": _settings().public_url, "unsubscribe_url": extras.unsubscribe_url}
    with speaking(locale):
        subject, text, html = (
            render_template(f"emails/{message}.{kind}", **context) for kind in ("subject.txt", "txt", "html")
        )
        if extras.unsubscribe_url:
            text += f"\n\n{gettext('Stop mails of this kind')}: {extras.unsubscribe_url}\n"
    mail = add(
        OutgoingMail(
            message=message,
            recipient=to,
            locale=locale,
            subject=" ".join(subject.split()),
            text=re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
            html=html,
            key=key,
            calendar=extras.calendar,
            unsubscribe_url=extras.unsubscribe_url,
            is_kept=extras.is_kept,
            reader_id=extras.reader_id,
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
        if not sent.is_kept:
            db.session.delete(sent)
        elif settings.is_production:
            # A mail may hold the key of a link, which is stored nowhere else but as a hash.
            sent.text = sent.html = ""


@jobs.periodic(cron="23 3 * * *", name="mail.sweep")
def sweep() -> None:
    """Every night: delete mails sent KEPT_FOR ago, and their previews."""
    with transaction():
        is_old = OutgoingMail.sent_at < clock.now() - KEPT_FOR
        # One that may not be kept and could not be sent in a week never will be.
        is_stuck = OutgoingMail.is_kept.is_(False) & (OutgoingMail.created_at < clock.now() - STUCK_FOR)
        old = delete(OutgoingMail).where(or_(is_old, is_stuck))
        gone = db.session.scalars(old.returning(OutgoingMail.id)).all()
    _delete_previews(gone)


def forget(reader_id: int, addresses: Iterable[str], words: Iterable[str]) -> None:
    """Delete every mail to this reader or these addresses; blank what sent mails to others say if it holds a word.

    Call inside the transaction that forgets a person; previews of development go too.
    """
    told = [OutgoingMail.subject, OutgoingMail.text, OutgoingMail.html]
    gone = db.session.scalars(
        delete(OutgoingMail)
        .where(or_(OutgoingMail.reader_id == reader_id, OutgoingMail.recipient.in_(list(addresses))))
        .returning(OutgoingMail.id)
    ).all()
    naming = or_(*(column.contains(word, autoescape=True) for word in words for column in told))
    blanked = update(OutgoingMail).where(OutgoingMail.sent_at.is_not(None), naming)
    blanked = blanked.values(subject="", text="", html="", calendar=None)
    gone = [*gone, *db.session.scalars(blanked.returning(OutgoingMail.id)).all()]
    _delete_previews(gone)


def _delete_previews(mail_ids: Iterable[int]) -> None:
    for mail_id in mail_ids:
        (_settings().mail_preview_dir / f"{mail_id:06}.eml").unlink(missing_ok=True)


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
    if mail.unsubscribe_url:
        # RFC 8058: the mail program offers the button, and one POST is enough.
        written["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        written["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    written.add_alternative(mail.html, subtype="html")
    if mail.calendar:
        written.add_attachment(mail.calendar.encode(), maintype="text", subtype="calendar", filename="course.ics")
    # Last: adding parts moves Content-* headers into the first one.
    written["Content-Language"] = "zh-CN" if mail.locale == "zh" else "en"
    return written


def _submit(written: EmailMessage, settings: Settings) -> None:
    with _server(settings) as server:
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password or "")
        server.send_message(written)


def _server(settings: Settings) -> smtplib.SMTP:
    """A connection to the server, whose certificate is checked where there is one."""
    host, port = settings.smtp_host or "", settings.smtp_port
    # Left to itself, smtplib takes any certificate.
    trusted = ssl.create_default_context()
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=trusted)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    if settings.smtp_security == "starttls":
        server.starttls(context=trusted)
    return server


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
