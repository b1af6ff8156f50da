"""Settings, and the apps, services and commands that are installed."""
