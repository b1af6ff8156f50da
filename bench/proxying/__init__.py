"""Measures plain proxying: the gateway beside others, on one core each, in front of the same server."""
