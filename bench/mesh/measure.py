"""Measures the mesh: what a hop and an order cost with it, and what its control plane can do."""

from pathlib import Path

from bench.figures import Section
from bench.mesh import fleets, hops
from bench.mesh.control_plane import measure as measure_control_plane

__all__ = ["measure", "measure_control_plane"]


def measure(folder: Path, *, seconds: float, rounds: int, calls: int) -> list[Section]:
    """Measures a hop, and then orders of two fleets, each by turns."""
    hop = folder / "hop"
    hop.mkdir()
    return [
        hops.measure(hop, calls=calls, seconds=seconds / 2, rounds=rounds),
        fleets.measure(folder, seconds=seconds, rounds=rounds),
    ]
