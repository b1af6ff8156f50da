"""Measures the mesh: a hop, a fleet, and a control plane with many sidecars."""
