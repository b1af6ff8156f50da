"""The registry that a fleet brings along: its server, and the client of it."""
