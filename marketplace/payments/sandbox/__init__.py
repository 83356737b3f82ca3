"""A small server that speaks Stripe's API, with a page to pay on and trouble to order; not for production."""
