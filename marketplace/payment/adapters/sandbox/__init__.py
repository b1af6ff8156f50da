"""The sandbox bank, for development and tests. It stands outside the system and has a database file of its own."""
