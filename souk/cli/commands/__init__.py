"""A file a command, or a few that are alike."""
