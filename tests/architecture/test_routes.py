"""Every route is in the table of permissions, and the table holds nothing else."""

import pytest

from tests.journeys.every_page import DOORS, FILES, MOMENTS

permissions = pytest.importorskip("marketplace.accounts.permissions", reason="the accounts room is not built yet")

# Flask-Security guards its own doors; each is public or asks for the session by itself.
GUARDED_ELSEWHERE = ("security.",)


def endpoints(app):
    return {rule.endpoint for rule in app.url_map.iter_rules()}


def test_every_route_says_who_may_open_it(app):
    table = set(permissions.PERMISSIONS)

    assert sorted(name for name in endpoints(app) - table if not name.startswith(GUARDED_ELSEWHERE)) == []


def test_the_table_names_no_vanished_route(app):
    assert sorted(set(permissions.PERMISSIONS) - endpoints(app)) == []


def test_every_route_that_is_not_public_refuses_a_stranger(app, client):
    """By its own answer, not by the table: sign-in page, 401, 403 or 404; never the page itself."""
    values = {"string": "0" * 12, "int": 1, "path": "x"}
    opened = []
    for rule in app.url_map.iter_rules():
        demanded = permissions.PERMISSIONS.get(rule.endpoint)
        if demanded is None or demanded.kind in permissions.OPEN_KINDS:
            continue
        converters = rule._converters
        arguments = {name: values.get(_kind(converter), "x") for name, converter in converters.items()}
        with app.test_request_context():
            path = app.url_map.bind("localhost").build(rule.endpoint, arguments)
        for method in sorted(rule.methods & {"GET", "POST", "PUT", "PATCH", "DELETE"}):
            answer = client.open(path, method=method)
            if answer.status_code not in {302, 303, 401, 403, 404} or (
                answer.status_code in {302, 303} and "/sign-in" not in answer.headers["Location"]
            ):
                opened.append(f"{method} {path}: {answer.status_code}")

    assert opened == []


def _kind(converter):
    return {"UnicodeConverter": "string", "IntegerConverter": "int", "PathConverter": "path"}.get(
        type(converter).__name__, "string"
    )


def test_every_page_is_in_the_list_of_those_looked_at(app):
    """A new page is entered in tests/journeys/every_page.py, where a browser opens it with axe."""
    pages = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in rule.methods and not rule.build_only}
    assert sorted(pages - {door.endpoint for door in DOORS} - FILES - MOMENTS.keys()) == []
