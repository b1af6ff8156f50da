"""Conformance suites, fakes and runners for tests; only tests import it."""
