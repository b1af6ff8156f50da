"""The database port, its adapters, and what is built on it in SQL."""
