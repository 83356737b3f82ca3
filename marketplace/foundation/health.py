"""Whether this process lives, and whether the whole is ready: database, migrations at head, a worker's heartbeat."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from marketplace.foundation.database import db

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
HEARTBEAT_SECONDS = 60


@lru_cache(maxsize=1)
def head_revision() -> str | None:
    """The newest migration this code knows, by the numbers of their files: asking Alembic takes 10 MB of memory."""
    return max((path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/[0-9]*.py")), default=None)


def readiness() -> dict[str, str]:
    """Each part's state: "ok" or what is wrong, in English for operators."""
    try:
        revision = db.session.execute(text("SELECT version_num FROM alembic_version")).scalar()
        age = db.session.execute(text(_NEWEST_HEARTBEAT)).scalar()
    except SQLAlchemyError as error:
        db.session.rollback()
        return {"database": f"unreachable or empty: {type(error).__name__}"}
    finally:
        db.session.rollback()
    head = head_revision()
    return {
        "database": "ok",
        "migrations": "ok" if revision == head else f"at {revision}, code wants {head}",
        "worker": "ok" if age is not None and age <= HEARTBEAT_SECONDS else "no heartbeat in the last minute",
    }


def search_is_possible() -> bool:
    """Whether trigrams see Chinese: with LC_CTYPE C they silently do not, and search would find nothing."""
    return bool(db.session.execute(text("SELECT show_trgm('交互') <> '{}'")).scalar())


_NEWEST_HEARTBEAT = "SELECT extract(epoch FROM now() - max(last_heartbeat)) FROM procrastinate_workers"
