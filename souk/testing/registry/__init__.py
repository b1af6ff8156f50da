"""The conformance suites of the adapters of `souk.discovery.registry`, and what drives the registries in them."""
