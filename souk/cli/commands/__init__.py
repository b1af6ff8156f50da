"""The commands of the platform: one in each file, or a few that are alike."""
