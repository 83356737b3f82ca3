"""The only file that speaks to Stripe. Answers are turned into small values of our own at once.

Every call that makes something carries an idempotency key drawn from the row it is for: repeated after a crash or a
time-out it gives back what the first one made. No call is made inside a transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import stripe
from flask import current_app

from marketplace.foundation.database import is_in_transaction
from marketplace.foundation.money import Money

if TYPE_CHECKING:
    from config import Settings

# Stripe's bounds: https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at
SHORTEST_SESSION, LONGEST_SESSION = timedelta(minutes=30), timedelta(hours=24)
TIMEOUT_SECONDS = 20
LONGEST_PAGE = 100
Item = TypeVar("Item")
RETRIES = 2
PAYMENT_METHODS = ("card", "alipay", "wechat_pay")
# Checkout's names of our languages: https://docs.stripe.com/js/appendix/supported_locales
LOCALES = {"zh": "zh", "en": "en"}


class GatewayError(Exception):
    """Stripe could not be reached or refused; `is_permanent` when trying again would change nothing."""

    def __init__(self, code: str, *, is_permanent: bool) -> None:
        """`code` is Stripe's own, without the message, which may repeat what a person typed."""
        super().__init__(code)
        self.code = code
        self.is_permanent = is_permanent


class BadSignature(Exception):
    """The webhook was not signed by Stripe with our secret."""


@dataclass(frozen=True)
class Session:
    """A Checkout Session at this moment: status open, complete or expired; payment unpaid, paid or none needed."""

    id: str
    url: str | None
    status: str
    payment_status: str
    amount: Money | None
    payment_intent_id: str | None
    # requires_payment_method, processing, succeeded, canceled …; None before the person has tried.
    intent_status: str | None
    failure_code: str | None
    reference: str | None

    @property
    def is_paid(self) -> bool:
        """Whether the money is ours."""
        return self.payment_status == "paid"

    @property
    def is_processing(self) -> bool:
        """Whether the person has done their part by a delayed method and the money is on its way."""
        return self.status == "complete" and not self.is_paid and not self.has_failed

    @property
    def has_failed(self) -> bool:
        """Whether a delayed payment has failed for good on this session."""
        return self.status == "complete" and self.intent_status in {"requires_payment_method", "canceled"}


@dataclass(frozen=True)
class RefundAnswer:
    """A refund at this moment: pending, succeeded, failed, canceled or requires_action."""

    id: str
    status: str
    failure_code: str | None
    payment_intent_id: str | None = None
    amount: Money | None = None
    # The public id of our own refund; None for one made in Stripe's dashboard.
    reference: str | None = None


@dataclass(frozen=True)
class Movement:
    """A balance transaction: what moved our balance, in the currency of the balance."""

    id: str
    type: str
    amount_minor: int
    fee_minor: int
    currency: str
    exchange_rate: Decimal | None
    source_id: str | None
    payment_intent_id: str | None
    happened_at: datetime


@dataclass(frozen=True)
class Payout:
    """A payout at this moment: pending, in_transit, paid, failed or canceled."""

    id: str
    amount_minor: int
    currency: str
    status: str
    created_at: datetime
    arrives_at: datetime
    failure_code: str | None


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Part of a list of Stripe's."""

    items: list[Item]
    has_more: bool


@dataclass(frozen=True)
class DisputeAnswer:
    """A dispute at this moment; `status` in Stripe's words, `fee_minor` what Stripe has kept for it so far."""

    id: str
    status: str
    reason: str
    amount: Money
    fee_minor: int
    payment_intent_id: str | None
    opened_at: datetime
    evidence_due_by: datetime | None


@lru_cache(maxsize=4)
def _client(key: str, base: str | None) -> stripe.StripeClient:
    addresses = cast("Any", {"api": base}) if base else None
    http = stripe.RequestsClient(timeout=TIMEOUT_SECONDS) if hasattr(stripe, "RequestsClient") else None
    return stripe.StripeClient(key, base_addresses=addresses, max_network_retries=RETRIES, http_client=http)


def _stripe() -> stripe.StripeClient:
    if is_in_transaction():
        raise RuntimeError("Stripe must not be called inside a transaction")
    settings: Settings = current_app.config["SETTINGS"]
    return _client(settings.stripe_secret_key, settings.stripe_api_base)


@dataclass(frozen=True)
class PageWanted:
    """A payment page to open for one attempt; `key` is the attempt's public id."""

    key: str
    order_number: str
    amount: Money
    title: str
    email: str
    locale: str
    expires_at: datetime
    return_url: str
    cancel_url: str


def session_parameters(page: PageWanted) -> dict[str, Any]:
    """What is sent to open a page: card, Alipay and WeChat Pay for yuan, card alone for other currencies."""
    metadata = {"attempt": page.key, "order": page.order_number}
    item = {
        "quantity": 1,
        "price_data": {
            "currency": page.amount.currency.lower(),
            "unit_amount": page.amount.minor,
            "product_data": {"name": page.title[:250]},
        },
    }
    params: dict[str, Any] = {
        "mode": "payment",
        "payment_method_types": ["card"],
        "line_items": [item],
        "client_reference_id": page.key,
        "customer_email": page.email,
        "locale": LOCALES[page.locale],
        "expires_at": int(page.expires_at.timestamp()),
        "success_url": page.return_url,
        "cancel_url": page.cancel_url,
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
    }
    if page.amount.currency == "CNY":
        params["payment_method_types"] = list(PAYMENT_METHODS)
        params["payment_method_options"] = {"wechat_pay": {"client": "web"}}
    return params


def create_session(page: PageWanted) -> Session:
    """Open a hosted payment page; raises GatewayError."""
    client = _stripe()
    options: Any = {"idempotency_key": f"attempt-{page.key}"}
    with _errors():
        made = client.v1.checkout.sessions.create(cast("Any", session_parameters(page)), options)
    return _session(made)


def retrieve_session(session_id: str) -> Session:
    """The session as it is now, whatever an event said earlier; raises GatewayError."""
    client = _stripe()
    with _errors():
        return _session(client.v1.checkout.sessions.retrieve(session_id, {"expand": ["payment_intent"]}))


def expire_session(session_id: str) -> Session:
    """Close a page that must not be paid any more; one that is complete is given back as it is."""
    client = _stripe()
    try:
        with _errors():
            return _session(client.v1.checkout.sessions.expire(session_id))
    except GatewayError as error:
        if not error.is_permanent:
            raise
        # Not open any more: paid or expired in this very moment. What it is now decides.
        return retrieve_session(session_id)


def create_refund(*, key: str, payment_intent_id: str, amount: Money) -> RefundAnswer:
    """Give money back (`key` is the refund's public id); raises GatewayError."""
    params = {"payment_intent": payment_intent_id, "amount": amount.minor, "metadata": {"refund": key}}
    client = _stripe()
    with _errors():
        made = client.v1.refunds.create(cast("Any", params), {"idempotency_key": f"refund-{key}"})
    return _refund(made)


def retrieve_refund(refund_id: str) -> RefundAnswer:
    """The refund as it is now; raises GatewayError."""
    client = _stripe()
    with _errors():
        return _refund(client.v1.refunds.retrieve(refund_id))


def retrieve_dispute(dispute_id: str) -> DisputeAnswer:
    """The dispute as it is now; raises GatewayError."""
    client = _stripe()
    with _errors():
        return _dispute(client.v1.disputes.retrieve(dispute_id))


def list_balance_transactions(since: datetime | None, until: datetime, after: str | None) -> Page[Movement]:
    """A page of what moved our balance, newest first, from the id `after` on; raises GatewayError."""
    params = _window(since, until, after) | {"expand": ["data.source"]}
    client = _stripe()
    with _errors():
        found = client.v1.balance_transactions.list(cast("Any", params))
    return Page([_movement(one) for one in found.data], has_more=found.has_more)


def list_payouts(since: datetime | None, until: datetime, after: str | None) -> Page[Payout]:
    """A page of the payouts made between two moments, newest first; raises GatewayError."""
    client = _stripe()
    with _errors():
        found = client.v1.payouts.list(cast("Any", _window(since, until, after)))
    return Page([_payout(one) for one in found.data], has_more=found.has_more)


def _window(since: datetime | None, until: datetime, after: str | None) -> dict[str, Any]:
    created = {"lte": int(until.timestamp())} | ({"gte": int(since.timestamp())} if since else {})
    return {"created": created, "limit": LONGEST_PAGE} | ({"starting_after": after} if after else {})


def verify_event(payload: bytes, signature: str) -> dict[str, Any]:
    """The event as plain values, if Stripe signed it with our secret; raises BadSignature."""
    settings: Settings = current_app.config["SETTINGS"]
    try:
        stripe.Webhook.construct_event(payload, signature, settings.stripe_webhook_secret)
    except (ValueError, stripe.SignatureVerificationError) as error:
        raise BadSignature from error
    # Read anew: the SDK's own values hold decimals, which JSON does not take back.
    plain: dict[str, Any] = json.loads(payload)
    return plain


class _errors:  # noqa: N801 - used as a statement
    """Turns Stripe's errors into GatewayError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, stripe.StripeError):
            is_permanent = isinstance(error, stripe.InvalidRequestError | stripe.CardError | stripe.AuthenticationError)
            raise GatewayError(error.code or type(error).__name__, is_permanent=is_permanent) from error


def _session(made: stripe.checkout.Session) -> Session:
    intent = made.payment_intent
    is_whole = isinstance(intent, stripe.PaymentIntent)
    error = intent.last_payment_error if isinstance(intent, stripe.PaymentIntent) else None
    amount = Money(made.amount_total, (made.currency or "").upper()) if made.amount_total is not None else None
    return Session(
        id=made.id,
        url=made.url,
        status=made.status or "open",
        payment_status=made.payment_status,
        amount=amount,
        payment_intent_id=intent.id if isinstance(intent, stripe.PaymentIntent) else intent,
        intent_status=cast("stripe.PaymentIntent", intent).status if is_whole else None,
        failure_code=error.code if error else None,
        reference=made.client_reference_id,
    )


def _refund(made: stripe.Refund) -> RefundAnswer:
    intent = made.payment_intent
    return RefundAnswer(
        id=made.id,
        status=made.status or "pending",
        failure_code=getattr(made, "failure_reason", None),
        payment_intent_id=intent.id if isinstance(intent, stripe.PaymentIntent) else intent,
        amount=Money(made.amount, made.currency.upper()),
        reference=cast("Any", made).to_dict().get("metadata", {}).get("refund"),
    )


def _dispute(made: stripe.Dispute) -> DisputeAnswer:
    intent, due_by = made.payment_intent, made.evidence_details.due_by
    return DisputeAnswer(
        id=made.id,
        status=made.status,
        reason=made.reason,
        amount=Money(made.amount, made.currency.upper()),
        fee_minor=sum(moved.fee for moved in made.balance_transactions),
        payment_intent_id=intent.id if isinstance(intent, stripe.PaymentIntent) else intent,
        opened_at=_moment(made.created),
        evidence_due_by=_moment(due_by) if due_by else None,
    )


def _movement(made: stripe.BalanceTransaction) -> Movement:
    source = made.source
    intent = getattr(source, "payment_intent", None)
    return Movement(
        id=made.id,
        type=made.type,
        amount_minor=made.amount,
        fee_minor=made.fee,
        currency=made.currency.upper(),
        # Through text: the rate as Stripe wrote it, not the float nearest to it.
        exchange_rate=None if made.exchange_rate is None else Decimal(str(made.exchange_rate)),
        source_id=source if isinstance(source, str) or source is None else str(source.id),
        payment_intent_id=intent if isinstance(intent, str) or intent is None else str(intent.id),
        happened_at=_moment(made.created),
    )


def _payout(made: stripe.Payout) -> Payout:
    return Payout(
        id=made.id,
        amount_minor=made.amount,
        currency=made.currency.upper(),
        status=made.status,
        created_at=_moment(made.created),
        arrives_at=_moment(made.arrival_date),
        failure_code=made.failure_code,
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def moment_of(event: dict[str, Any]) -> datetime:
    """When Stripe made the event."""
    return _moment(event["created"])
