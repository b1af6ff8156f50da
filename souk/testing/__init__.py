"""Suites and runners for tests; nothing else imports it."""
