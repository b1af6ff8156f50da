"""Real brokers and search engines for tests, each started by a class of its own."""
