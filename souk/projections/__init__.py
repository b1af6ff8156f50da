"""Projections: what a service makes from its own data, and can make anew while the old one is in use."""
