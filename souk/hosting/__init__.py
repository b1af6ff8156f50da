"""Puts services into processes: all in one, one in each, or the gateway alone."""
