"""Souk: a platform of small services that stays right when parts of it fail."""

__version__ = "0.1.0"
