from __future__ import annotations

import pytest

from marketplace import create_app
from marketplace.foundation.database import db
from tests.conftest import settings_for


@pytest.fixture
def production(make_database, tmp_path):
    settings = settings_for(
        make_database(), tmp_path, environment="production", public_url="https://courses.example", secret_key="k" * 40
    )
    app = create_app(settings)
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize(
    ("host", "status"),
    [("courses.example", 200), ("localhost", 200), ("thief.example", 400), ("courses.example.thief.example", 400)],
)
def test_in_production_a_page_names_no_host_but_ours(production, host, status):
    answer = production.get("/robots.txt", base_url=f"https://{host}")

    assert answer.status_code == status
    assert (f"Sitemap: https://{host}/sitemap.xml" in answer.text) == (status == 200)
