"""The data directory, and the databases."""
