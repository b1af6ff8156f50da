"""The data directory, its manifest, and the databases of services."""
