"""The sandbox through Stripe's own SDK: what it promises to the gateway, the person at the page and the webhook."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
import stripe
from werkzeug.serving import make_server

from marketplace.payments.sandbox import checkout
from marketplace.payments.sandbox.app import create_sandbox
from marketplace.payments.sandbox.events import Courier
from marketplace.payments.sandbox.store import Store
from tests.inbox import free_port

SECRET = "whsec_of_the_test"


class Shop:
    """The receiving end: keeps the types of the events it could verify, in order; refuses as often as told."""

    def __init__(self):
        self.events = []
        self.refusals = 0
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                payload = self.rfile.read(int(self.headers["Content-Length"]))
                stripe.Webhook.construct_event(payload, self.headers["Stripe-Signature"], SECRET)
                shop.refusals -= 1
                if shop.refusals < 0:
                    shop.events.append(json.loads(payload))
                self.send_response(200 if shop.refusals < 0 else 500)
                self.end_headers()

            def log_message(self, *_words):
                pass

        self.server = HTTPServer(("127.0.0.1", free_port()), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/stripe"

    def types(self, prefix=""):
        return [event["type"] for event in self.events if event["type"].startswith(prefix)]


class Sandbox:
    def __init__(self, store, shop):
        self.store = store
        self.server = make_server("127.0.0.1", free_port(), create_sandbox(store, key="sk_test_x"), threaded=True)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.courier = Courier(store, url=shop.url, secret=SECRET, chores=lambda: checkout.do_chores(store))
        self.client = stripe.StripeClient("sk_test_x", base_addresses={"api": self.address}, max_network_retries=0)

    def pay(self, session, **form):
        return requests.post(f"{self.address}/pay/{session.id}", data=form, allow_redirects=False, timeout=10)

    def turn(self, **switches):
        requests.post(f"{self.address}/switches", data=switches, timeout=10)

    def retrieve(self, session):
        return self.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})


@pytest.fixture
def shop():
    shop = Shop()
    thread = threading.Thread(target=shop.server.serve_forever)
    thread.start()
    yield shop
    shop.server.shutdown()
    shop.server.server_close()
    thread.join()


@pytest.fixture
def sandbox(shop, tmp_path):
    sandbox = Sandbox(Store(tmp_path / "sandbox.sqlite"), shop)
    thread = threading.Thread(target=sandbox.server.serve_forever)
    thread.start()
    yield sandbox
    sandbox.server.shutdown()
    sandbox.server.server_close()
    thread.join()
    sandbox.store.connection.close()


def open_session(sandbox, key="attempt-1", **changes):
    params = {
        "mode": "payment",
        "payment_method_types": ["card", "alipay"],
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": "cny", "unit_amount": 128000, "product_data": {"name": "课程"}},
            }
        ],
        "client_reference_id": "a1",
        "customer_email": "wen@example.cn",
        "locale": "zh",
        # The same for calls that are repeated within the minute.
        "expires_at": int(time.time()) // 60 * 60 + 1860,
        "success_url": "http://shop.example/back?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://shop.example/order",
        "metadata": {"attempt": "a1"},
        "payment_intent_data": {"metadata": {"attempt": "a1"}},
    }
    return sandbox.client.v1.checkout.sessions.create(params | changes, {"idempotency_key": key})


CARD = "4242 4242 4242 4242"


def test_a_card_is_paid_and_leads_back(sandbox, shop):
    session = open_session(sandbox)
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 128000)

    answer = sandbox.pay(session, number=CARD)

    assert (answer.status_code, answer.headers["Location"]) == (303, f"http://shop.example/back?session={session.id}")
    paid = sandbox.retrieve(session)
    assert (paid.status, paid.payment_status, paid.payment_intent.status) == ("complete", "paid", "succeeded")
    assert paid.payment_intent.metadata["attempt"] == "a1"
    assert paid.payment_intent.latest_charge.paid is True
    sandbox.courier.deliver_due()
    assert shop.types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


def test_declined_then_paid_on_the_same_session(sandbox):
    session = open_session(sandbox)

    assert sandbox.pay(session, number="4000 0000 0000 0002").status_code == 402
    declined = sandbox.retrieve(session)
    assert (declined.status, declined.payment_intent.last_payment_error.code) == ("open", "card_declined")

    assert sandbox.pay(session, number=CARD).status_code == 303
    assert sandbox.retrieve(session).payment_status == "paid"


def test_a_card_that_asks_for_confirmation(sandbox):
    session = open_session(sandbox)
    card = "4000 0025 0000 3155"

    assert "您的银行需要您确认" in sandbox.pay(session, number=card).text
    assert sandbox.pay(session, number=card, confirmation="fail").status_code == 402
    assert sandbox.pay(session, number=card, confirmation="pass").status_code == 303


@pytest.mark.parametrize(("outcome", "status"), [("succeed", "paid"), ("fail", "unpaid")])
def test_a_delayed_method_settles_later(sandbox, shop, outcome, status):
    session = open_session(sandbox)
    sandbox.pay(session, method="delayed")
    pending = sandbox.retrieve(session)
    assert (pending.status, pending.payment_status, pending.payment_intent.status) == (
        "complete",
        "unpaid",
        "processing",
    )

    requests.post(f"{sandbox.address}/pay/{session.id}/settle", data={"outcome": outcome}, timeout=10)

    assert sandbox.retrieve(session).payment_status == status
    sandbox.courier.deliver_due()
    assert shop.types("checkout.session.async") == [f"checkout.session.async_payment_{outcome}ed"]


def test_an_expired_session_takes_no_money(sandbox, shop):
    session = open_session(sandbox)

    assert sandbox.client.v1.checkout.sessions.expire(session.id).status == "expired"
    assert sandbox.pay(session, number=CARD).status_code == 410
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.client.v1.checkout.sessions.expire(session.id)
    sandbox.courier.deliver_due()
    assert shop.types() == ["checkout.session.expired"]


def test_a_session_lives_half_an_hour_at_least(sandbox):
    with pytest.raises(stripe.InvalidRequestError, match="expires_at"):
        open_session(sandbox, expires_at=int(time.time()) + 900)


def test_one_key_makes_one_thing(sandbox):
    assert open_session(sandbox).id == open_session(sandbox).id
    with pytest.raises(stripe.IdempotencyError):
        open_session(sandbox, client_reference_id="other")
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_y", base_addresses={"api": sandbox.address}).v1.refunds.list()


def test_refunds_never_exceed_what_was_paid(sandbox, shop):
    session = open_session(sandbox)
    sandbox.pay(session, number=CARD)
    intent = sandbox.retrieve(session).payment_intent.id

    refund = sandbox.client.v1.refunds.create({"payment_intent": intent, "amount": 28000})
    assert refund.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.client.v1.refunds.create({"payment_intent": intent, "amount": 100001})
    sandbox.turn(refund_fails="1")
    failing = sandbox.client.v1.refunds.create({"payment_intent": intent, "amount": 100000})
    assert failing.status == "pending"
    assert sandbox.client.v1.refunds.retrieve(failing.id).status == "failed"
    assert sandbox.retrieve(session).payment_intent.latest_charge.amount_refunded == 28000
    sandbox.courier.deliver_due()
    assert shop.types("refund") == ["refund.created", "refund.created", "refund.failed"]


@pytest.mark.parametrize("trouble", ["fail_before", "fail_after", "timeout_after"])
def test_trouble_with_a_call_and_the_same_key_again(sandbox, trouble):
    sandbox.turn(**{trouble: "1"})

    with pytest.raises(stripe.StripeError):
        open_session(sandbox)
    session = open_session(sandbox)

    assert len(sandbox.client.v1.checkout.sessions.list().data) == 1
    assert session.status == "open"


def test_trouble_with_events(sandbox, shop):
    sandbox.turn(duplicate="1", hold="1")
    sandbox.client.v1.checkout.sessions.expire(open_session(sandbox, "first").id)
    sandbox.turn(duplicate="", drop="1")
    sandbox.client.v1.checkout.sessions.expire(open_session(sandbox, "second").id)
    sandbox.courier.deliver_due()
    assert shop.events == []

    sandbox.turn(hold="", reorder="1")
    sandbox.pay(open_session(sandbox, "third"), number=CARD)
    shop.refusals = 1
    sandbox.courier.deliver_due()
    time.sleep(1.1)
    sandbox.courier.deliver_due()

    assert sorted(shop.types("checkout")) == ["checkout.session.completed", *["checkout.session.expired"] * 2]
    assert shop.types()[0] == "payment_intent.succeeded"


def test_what_moves_the_balance_is_listed_with_its_fee_and_paid_out(sandbox, shop):
    session = open_session(sandbox)
    sandbox.pay(session, number=CARD)
    intent = sandbox.client.v1.checkout.sessions.retrieve(session.id).payment_intent
    sandbox.client.v1.refunds.create({"payment_intent": intent, "amount": 28000})
    refund, charge = sandbox.client.v1.balance_transactions.list({"expand": ["data.source"]}).data

    assert (charge.type, charge.amount, charge.fee, charge.net) == ("charge", 128000, 3912, 124088)
    assert charge.source.payment_intent == intent
    assert charge.source.balance_transaction == charge.id
    assert (refund.type, refund.amount, refund.fee) == ("refund", -28000, 0)

    [made] = requests.post(f"{sandbox.address}/payouts", headers={"Accept": "application/json"}, timeout=10).json()[
        "data"
    ]
    assert (made["amount"], made["status"]) == (96088, "in_transit")
    assert [one.type for one in sandbox.client.v1.balance_transactions.list().data] == ["payout", "refund", "charge"]
    sandbox.store.save(made | {"arrival_date": 0})
    sandbox.courier.chores()
    assert [one.status for one in sandbox.client.v1.payouts.list({"status": "paid"}).data] == ["paid"]
