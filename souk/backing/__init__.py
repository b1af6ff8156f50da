"""The engines that Souk starts: PostgreSQL and Valkey."""
