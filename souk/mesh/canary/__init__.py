"""Canaries: a new version takes a growing share of a service's calls, and is judged beside the one that is there."""
