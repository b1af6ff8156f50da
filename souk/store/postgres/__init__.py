"""The database port over PostgreSQL."""
