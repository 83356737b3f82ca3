import io
import json
import logging

import pytest
import structlog
from sqlalchemy.exc import IntegrityError

from marketplace.accounts.models import Person
from marketplace.foundation import logs
from marketplace.foundation.database import add, transaction
from marketplace.foundation.logs import HIDDEN, hide_private


def hidden(**event):
    return dict(hide_private(None, "info", event))


def test_private_values_never_reach_a_log():
    event = hidden(event="x", email="a@b.cn", password="p", customer_name="Wen", token="t", order="7f", logger="web")

    assert event == {
        "event": "x",
        "email": HIDDEN,
        "password": HIDDEN,
        "customer_name": HIDDEN,
        "token": HIDDEN,
        "order": "7f",
        "logger": "web",
    }


def test_addresses_and_keys_inside_texts_are_blanked():
    trace = hidden(exception="for wen@example.cn with sk_test_abc123 and whsec_9")

    assert trace == {"exception": f"for {HIDDEN} with {HIDDEN} and {HIDDEN}"}


@pytest.fixture
def lines():
    """What is logged meanwhile, as it stands in the log."""
    root, out = logging.getLogger(), io.StringIO()
    before = root.handlers[:]
    logs.configure()
    root.handlers[0].setStream(out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:] = before


# Not in the test itself: a traceback shows the lines it goes through.
PRIVATE = {"email": "li.na@example.com", "name": "李娜", "employer": "一家\n\n工作室", "locale": "xx"}


def test_a_refused_row_and_its_values_stay_out_of_the_log(app, lines):
    with pytest.raises(IntegrityError) as failed, transaction():
        add(Person(**PRIVATE))
    structlog.get_logger("test").error("fault", exc_info=failed.value)
    logging.getLogger("elsewhere").error("failed", exc_info=failed.value)

    told = lines()
    assert [line["event"] for line in told] == ["fault", "failed"]
    for line in told:
        assert "violates check constraint" in line["exception"]
        assert "INSERT INTO person" in line["exception"]
        assert [word for word in ("li.na", "李娜", "一家", "工作室") if word in line["exception"]] == []
