"""The command `souk`."""
