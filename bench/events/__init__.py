"""Measures events from the outbox to their consumer, beside the bare clients of the same brokers."""
