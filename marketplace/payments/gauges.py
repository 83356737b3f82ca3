"""What of this room an operator watches."""

from __future__ import annotations

from marketplace.foundation.measures import ask_database

ask_database(
    "discrepancies_open", "What does not add up.", "SELECT count(*) FROM discrepancy WHERE resolved_at IS NULL"
)
ask_database(
    "refunds_unsettled",
    "Refunds asked for and not settled.",
    "SELECT count(*) FROM refund WHERE state IN ('requested', 'pending')",
)
ask_database(
    "stripe_events_waiting",
    "Stripe's events that were not handled.",
    "SELECT count(*) FROM stripe_event WHERE state IN ('new', 'failed')",
)
