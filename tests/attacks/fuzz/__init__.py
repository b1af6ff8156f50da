"""Mutated and generated input for a running gateway, for as long as one likes."""
