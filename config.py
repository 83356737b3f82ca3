"""Settings, read once from the environment. A bad or missing value stops the process and is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

Environment = Literal["development", "test", "production"]

ROOT = Path(__file__).resolve().parent
# Known to everyone who reads this file, hence refused in production.
DEVELOPMENT_SECRET_KEY = "not-a-secret:development-only"  # noqa: S105 - it is public on purpose
SANDBOX_STRIPE_KEY = "sk_test_sandbox"
SANDBOX_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - the sandbox of this repository signs with it
SHORTEST_SECRET_KEY = 32


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message names each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the environment decides. Secrets are kept out of `repr`, and so out of logs."""

    database_url: str = field(repr=False)
    database_pool: int = 10
    environment: Environment = "development"
    secret_key: str = field(default=DEVELOPMENT_SECRET_KEY, repr=False)
    public_url: str = "http://127.0.0.1:5000"
    media_dir: Path = ROOT / "var" / "media"
    stripe_secret_key: str = field(default=SANDBOX_STRIPE_KEY, repr=False)
    stripe_webhook_secret: str = field(default=SANDBOX_WEBHOOK_SECRET, repr=False)
    stripe_api_base: str | None = None
    # Bank transfers above so many whole units need a second finance officer.
    offline_limit: int = 5000
    smtp_host: str | None = None
    smtp_port: int = 25
    smtp_user: str | None = None
    smtp_password: str | None = field(default=None, repr=False)
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    mail_from: str = "Talent courses <no-reply@localhost>"
    mail_preview_dir: Path = ROOT / "var" / "mail"
    document_fonts: Path | None = None
    trusted_proxies: int = 0
    staff_second_factor: Literal["optional", "required"] = "optional"
    metrics_token: str | None = field(default=None, repr=False)
    clock_offset_seconds: int = 0

    @property
    def is_production(self) -> bool:
        """Whether the strict checks of production apply."""
        return self.environment == "production"

    @property
    def uses_sandbox(self) -> bool:
        """Whether payments go to the sandbox of this repository instead of Stripe."""
        return self.stripe_api_base is not None or self.stripe_secret_key == SANDBOX_STRIPE_KEY

    @property
    def cookies_are_secure(self) -> bool:
        """Whether cookies may travel over HTTPS alone."""
        return self.public_url.startswith("https://")


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read settings from environment variables; raise SettingsError listing everything that is wrong."""
    reader = _Reader(environment)
    settings = Settings(
        database_url=reader.database_url(),
        database_pool=reader.whole_number("DATABASE_POOL", 10),
        environment=cast("Environment", reader.choice("MARKETPLACE_ENV", ("development", "test", "production"))),
        secret_key=reader.text("SECRET_KEY", DEVELOPMENT_SECRET_KEY),
        public_url=reader.url("PUBLIC_URL", "http://127.0.0.1:5000"),
        media_dir=Path(reader.text("MEDIA_DIR", str(ROOT / "var" / "media"))),
        stripe_secret_key=reader.text("STRIPE_SECRET_KEY", SANDBOX_STRIPE_KEY),
        stripe_webhook_secret=reader.text("STRIPE_WEBHOOK_SECRET", SANDBOX_WEBHOOK_SECRET),
        stripe_api_base=environment.get("STRIPE_API_BASE") or None,
        offline_limit=reader.whole_number("OFFLINE_LIMIT", 5000),
        smtp_host=environment.get("SMTP_HOST") or None,
        smtp_port=reader.whole_number("SMTP_PORT", 25),
        smtp_user=environment.get("SMTP_USER") or None,
        smtp_password=environment.get("SMTP_PASSWORD") or None,
        smtp_security=cast(
            "Literal['none', 'starttls', 'tls']", reader.choice("SMTP_SECURITY", ("none", "starttls", "tls"))
        ),
        mail_from=reader.text("MAIL_FROM", "Talent courses <no-reply@localhost>"),
        mail_preview_dir=Path(reader.text("MAIL_PREVIEW_DIR", str(ROOT / "var" / "mail"))),
        document_fonts=reader.folder("DOCUMENT_FONTS"),
        trusted_proxies=reader.whole_number("TRUSTED_PROXIES", 0),
        staff_second_factor=cast(
            "Literal['optional', 'required']", reader.choice("STAFF_SECOND_FACTOR", ("optional", "required"))
        ),
        metrics_token=environment.get("METRICS_TOKEN") or None,
        clock_offset_seconds=reader.whole_number("MARKETPLACE_CLOCK_OFFSET", 0),
    )
    problems = reader.problems + (production_problems(settings) if settings.is_production else [])
    if problems:
        message = "The settings cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems)
        raise SettingsError(message)
    return settings


def settings_from_environment() -> Settings:
    """Settings of this process."""
    return settings_from(os.environ)


def production_problems(settings: Settings) -> list[str]:
    """Say everything that makes these settings unfit for production."""
    checks = {
        "SECRET_KEY is the public development key": settings.secret_key == DEVELOPMENT_SECRET_KEY,
        f"SECRET_KEY is shorter than {SHORTEST_SECRET_KEY} characters": len(settings.secret_key) < SHORTEST_SECRET_KEY,
        "PUBLIC_URL is not https, so cookies would travel in the clear": not settings.cookies_are_secure,
        "payments would go to the sandbox (STRIPE_API_BASE or STRIPE_SECRET_KEY)": settings.uses_sandbox,
        "STRIPE_WEBHOOK_SECRET is the sandbox's": settings.stripe_webhook_secret == SANDBOX_WEBHOOK_SECRET,
        "SMTP_HOST is not set, so no mail would leave": settings.smtp_host is None,
        "MARKETPLACE_CLOCK_OFFSET shifts the clock": settings.clock_offset_seconds != 0,
    }
    return [problem for problem, is_so in checks.items() if is_so]


class _Reader:
    """Reads variables and gathers what is wrong, so that one start tells everything."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self.environment.get(name) or default

    def folder(self, name: str) -> Path | None:
        value = self.environment.get(name)
        if value and not Path(value).is_dir():
            self.problems.append(f"{name} is no folder: {value}")
        return Path(value) if value else None

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.environment.get(name) or allowed[0]
        if value not in allowed:
            self.problems.append(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def whole_number(self, name: str, default: int) -> int:
        value = self.environment.get(name, "")
        try:
            return int(value) if value else default
        except ValueError:
            self.problems.append(f"{name} must be a whole number, not {value!r}")
            return default

    def url(self, name: str, default: str) -> str:
        value = (self.environment.get(name) or default).rstrip("/")
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            self.problems.append(f"{name} must be an http(s) address, not {value!r}")
        return value

    def database_url(self) -> str:
        value = self.environment.get("DATABASE_URL", "")
        scheme, separator, rest = value.partition("://")
        if scheme.partition("+")[0] not in {"postgresql", "postgres"} or not separator:
            # The value may hold a password: it is not repeated.
            self.problems.append("DATABASE_URL must be a postgresql:// address (bin/serve sets it by itself)")
        return f"postgresql+psycopg://{rest}"
