"""What a person may demand: a copy of what is known of them, and to be forgotten. It calls every room below."""
