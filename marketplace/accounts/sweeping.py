"""What accounts leave behind, taken away every night."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from marketplace.accounts import throttle
from marketplace.accounts.models import MailedLink, SignIn
from marketplace.foundation import clock, jobs
from marketplace.foundation.database import db, transaction

# Long enough to answer "was that me?", short enough not to be a diary of where people were.
KEPT_FOR = timedelta(days=90)


@jobs.periodic(cron="41 3 * * *", name="accounts.sweep")
def sweep() -> None:
    """Delete throttle windows that ended, and sign-ins and mailed links that ended KEPT_FOR ago."""
    throttle.sweep()
    with transaction():
        before = clock.now() - KEPT_FOR
        db.session.execute(delete(SignIn).where(SignIn.expires_at < before))
        db.session.execute(delete(MailedLink).where(MailedLink.expires_at < before))
