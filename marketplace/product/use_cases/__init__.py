"""The use cases of Product, one file for each, or for a few that belong together."""
