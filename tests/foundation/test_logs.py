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
