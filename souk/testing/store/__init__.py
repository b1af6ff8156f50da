"""The conformance suites of the databases of `souk.store`."""
