"""A course marketplace for talent training. `create_app` is the one place where the rooms meet."""

from __future__ import annotations

import gc
from importlib import import_module

from flask import Flask
from sqlalchemy.orm import configure_mappers

from config import ROOT, Settings, settings_from_environment
from marketplace.foundation import clock, i18n, jobs, logs, web
from marketplace.foundation.database import db, engine_options

# From the lowest floor up; each room's `views` has a `blueprint` and may have `init_app(app, settings)`.
ROOMS = ("foundation", "accounts", "catalog", "funding", "enrolment", "payments", "participation", "metrics", "privacy")


def create_app(settings: Settings | None = None, *, with_chores: bool = True) -> Flask:
    """Build the application from settings (the environment's unless given); raises SettingsError if they are unfit.

    `with_chores`: with the commands, migrations and the demo, which a web server has no use for.
    """
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
    i18n.init_app(app)
    web.init_app(app, settings)
    jobs.init_app(app)
    _open_rooms(app, settings)
    if with_chores:
        # A worker knows every job and period, whether a page has to do with it or not.
        for room in ROOMS:
            for module in sorted((ROOT / "marketplace" / room).glob("*.py")):
                import_module(f"marketplace.{room}.{module.stem}")
        # Imported here: 10 MB of memory.
        import_module("marketplace.cli").init_app(app)
    return app


def served() -> Flask:
    """The application as gunicorn builds it, once, before it forks its workers.

    What is there by then is shared by all of them, for as long as the collector of garbage leaves it alone.
    """
    app = create_app(with_chores=False)
    configure_mappers()
    gc.collect()
    gc.freeze()
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
