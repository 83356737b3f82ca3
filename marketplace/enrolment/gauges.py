"""What of this room an operator watches."""

from __future__ import annotations

from marketplace.foundation.measures import ask_database

ask_database("holds_live", "Seats held now.", "SELECT count(*) FROM seat_hold WHERE ended_at IS NULL AND until > :now")
ask_database(
    "holds_overdue",
    "Holds past their time that the sweep has not ended.",
    "SELECT count(*) FROM seat_hold WHERE ended_at IS NULL AND until <= :now",
)
ask_database(
    "orders_last_day",
    "Orders placed within a day, by state.",
    """
    SELECT count(*), state FROM "order" WHERE placed_at > CAST(:now AS timestamptz) - interval '1 day' GROUP BY state
    """,
    "state",
)
