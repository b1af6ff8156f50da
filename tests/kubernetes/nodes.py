"""The nodes of a cluster for tests, which kwok plays: it says what a kubelet would say, and runs nothing."""

from pathlib import Path

import yaml

STAGES = Path(__file__).with_name("stages.yaml")
"""What becomes of nodes and pods, and when, as kwok reads it."""
NODES = ("node-1", "node-2", "node-3")
HELD = "souk.example/held"
"""The annotation with which a pod on a node does not begin; when it is taken away, the pod runs."""


def node_manifests() -> str:
    """Makes the nodes, with room for everything."""
    return yaml.safe_dump_all(_node(name) for name in NODES)


def _node(name: str) -> dict[str, object]:
    room = {"cpu": "32", "memory": "64Gi", "pods": "110"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"allocatable": room, "capacity": room},
    }
