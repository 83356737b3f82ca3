"""The heart: seats are held, orders placed and confirmed, people enrolled. Nothing is sold twice."""
