"""Measures Souk on this machine: every figure beside its peer or its limit, in one run."""
