"""Reads a routes file: YAML in, a RoutesFile out, or everything that is wrong with it."""
