"""The demo: an invented catalogue written by hand and two years of invented life, for development and for showing."""
