"""The use cases of Order, one file for each, or for a few that belong together."""
