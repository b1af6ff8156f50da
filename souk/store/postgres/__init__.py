"""The adapter of the database port for PostgreSQL."""
