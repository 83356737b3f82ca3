"""People, organisations, membership and permissions."""
