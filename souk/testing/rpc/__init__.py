"""The conformance suites of the transports of `souk.rpc`."""
