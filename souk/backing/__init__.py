"""Engines that Souk starts: PostgreSQL and Valkey."""
