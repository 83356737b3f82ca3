"""Money in and out: Stripe, what it tells us, refunds, and a ledger that explains every fen."""
