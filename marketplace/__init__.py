"""A course marketplace for talent training. `create_app` is the one place where the rooms meet."""

from __future__ import annotations

from importlib import import_module

from flask import Flask
from flask_migrate import Migrate

from config import ROOT, Settings, settings_from_environment
from marketplace import cli
from marketplace.foundation import clock, i18n, jobs, logs, web
from marketplace.foundation.database import db, engine_options

# From the lowest floor up; each room's `views` has a `blueprint` and may have `init_app(app, settings)`.
ROOMS = ("foundation", "accounts", "catalog", "funding", "enrolment", "payments", "participation", "metrics", "privacy")


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application from settings (the environment's unless given); raises SettingsError if they are unfit."""
    settings = settings or settings_from_environment()
    logs.configure()
    app = Flask(
        "marketplace",
        root_path=str(ROOT / "marketplace"),
        template_folder=str(ROOT / "templates"),
        static_folder=str(ROOT / "static"),
    )
    app.config.update(
        SETTINGS=settings,
        TESTING=settings.environment == "test",
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_pool),
    )
    clock.shift(settings.clock_offset_seconds)
    db.init_app(app)
    Migrate(app, db, directory=str(ROOT / "migrations"))
    i18n.init_app(app)
    web.init_app(app, settings)
    jobs.init_app(app)
    _open_rooms(app, settings)
    return app


def _open_rooms(app: Flask, settings: Settings) -> None:
    for room in ROOMS:
        folder = ROOT / "marketplace" / room
        for module in [*sorted(folder.glob("*models.py")), *folder.glob("gauges.py")]:
            import_module(f"marketplace.{room}.{module.stem}")
        if not (ROOT / "marketplace" / room / "views.py").exists():
            continue
        views = import_module(f"marketplace.{room}.views")
        if hasattr(views, "init_app"):
            views.init_app(app, settings)
        app.register_blueprint(views.blueprint)
    cli.init_app(app)
