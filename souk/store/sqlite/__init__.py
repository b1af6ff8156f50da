"""The database port over SQLite."""
