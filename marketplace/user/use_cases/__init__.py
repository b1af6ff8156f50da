"""The use cases of User, one file for each, or for a few that belong together."""
