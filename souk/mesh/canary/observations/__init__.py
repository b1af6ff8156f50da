"""Observations of a service with a canary: sidecars report tries, and each counts for the release that it went to."""
