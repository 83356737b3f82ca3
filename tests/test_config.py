from __future__ import annotations

import pytest

from config import SettingsError, settings_from

GOOD = {
    "MARKETPLACE_ENV": "production",
    "DATABASE_URL": "postgres://u:p@db/m",
    "SECRET_KEY": "k" * 40,
    "PUBLIC_URL": "https://courses.example/",
    "STRIPE_SECRET_KEY": "sk_live_x",
    "STRIPE_WEBHOOK_SECRET": "whsec_x",
    "SMTP_HOST": "mail.example",
}


def test_good_settings_of_production_are_taken():
    settings = settings_from(GOOD)

    assert settings.database_url == "postgresql+psycopg://u:p@db/m"
    assert settings.public_url == "https://courses.example"
    assert "sk_live_x" not in repr(settings)
    assert "u:p@" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL must be"),
        ({"SMTP_PORT": "many"}, "SMTP_PORT must be a whole number"),
        ({"MARKETPLACE_ENV": "prod"}, "MARKETPLACE_ENV must be one of"),
        ({"PUBLIC_URL": "courses.example"}, "PUBLIC_URL must be an http"),
        ({"PUBLIC_URL": "http://courses.example"}, "PUBLIC_URL is not https"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is shorter"),
        ({"SECRET_KEY": ""}, "public development key"),
        ({"STRIPE_SECRET_KEY": ""}, "sandbox"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:1"}, "sandbox"),
        ({"SMTP_HOST": ""}, "SMTP_HOST is not set"),
        ({"MARKETPLACE_CLOCK_OFFSET": "60"}, "shifts the clock"),
    ],
)
def test_each_unfit_setting_is_named(change, said):
    with pytest.raises(SettingsError, match=said):
        settings_from(GOOD | change)


def test_everything_wrong_is_told_at_once():
    with pytest.raises(SettingsError) as error:
        settings_from({"SMTP_PORT": "x", "PUBLIC_URL": "y"})

    assert len(str(error.value).splitlines()) == 4
