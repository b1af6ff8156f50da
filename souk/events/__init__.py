"""From the outbox of one service to the consumers of others."""
