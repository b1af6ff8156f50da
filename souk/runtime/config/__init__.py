"""Settings, and what is installed."""
