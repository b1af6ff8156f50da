"""The conformance suite of brokers: a harness, the suite in two parts, and a consumer in a process of its own."""
