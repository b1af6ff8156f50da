"""Orders and their rules. Pure: events in, events out."""
