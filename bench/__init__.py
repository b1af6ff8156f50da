"""Benchmarks: measure Souk on this machine, and in the same run the peer or the limit that each figure is compared
with."""
