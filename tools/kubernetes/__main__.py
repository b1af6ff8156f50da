"""Writes deploy/kubernetes, its base and its overlays for meshes, from the app's declarations: its services, who
calls whom, what they need.

python tools/kubernetes [check]     check: fails when the files are not what the app gives
"""

import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from ingress import objects as ingress
from meshes import OVERLAYS, RESILIENCE, MeshOverlay, mesh_kustomization, mesh_policies, mesh_resources, mesh_settings
from migrations import SEPARATOR, jobs
from names import DATA, DRAIN, GATEWAY, IMAGE, METRICS, SERVICES
from network import policies
from pods import Manifest
from workloads import gateway_objects, service_objects

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
HEADER = (
    "# Made by `make kubernetes` from what the services declare; change tools/kubernetes, or patch in an overlay.\n"
)
SETTINGS = {
    "SOUK_HOST": "0.0.0.0",
    "SOUK_METRICS_HOST": "0.0.0.0",
    "SOUK_METRICS_PORT": str(METRICS),
    "SOUK_DATA": f"{DATA}/data",
    "SOUK_DRAIN": str(DRAIN),
    # Pages that ask processes over sockets of one machine would find none of them.
    "SOUK_CONSOLE": "false",
}


class Plain(yaml.SafeDumper):
    """Writes every value in full, without references from one to another."""

    def ignore_aliases(self, data: object) -> bool:
        """Says that nothing is a reference."""
        return True

    def lines(self, text: str) -> yaml.ScalarNode:
        """Writes a text of several lines as lines."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Plain.add_representer(str, Plain.lines)


def documents(objects: Iterable[Mapping[str, Any]]) -> str:
    """Makes the text of a file of objects."""
    dumped = (yaml.dump(one, Dumper=Plain, sort_keys=False, width=120) for one in objects)
    return HEADER + "---\n".join(dumped)


def settings(values: Mapping[str, str]) -> str:
    """Makes the text of a file of settings."""
    return HEADER + "".join(f"{name}={text}\n" for name, text in values.items())


def texts() -> Mapping[str, str]:
    """Makes the texts of all files of all folders, by their paths below deploy/kubernetes."""
    folders = {"base": base(), **{f"overlays/{mesh.name}": overlay(mesh) for mesh in OVERLAYS}}
    return {f"{folder}/{name}": text for folder, files in folders.items() for name, text in files.items()}


def overlay(mesh: MeshOverlay) -> Mapping[str, str]:
    """Makes the texts of the files of an overlay for a mesh, by name."""
    kustomization = mesh_kustomization(mesh, job_names())
    for patch in kustomization["patches"]:
        patch["patch"] = yaml.dump(patch["patch"], Dumper=Plain, sort_keys=False)
    return {
        "mesh.yaml": documents(mesh_resources(mesh)),
        "network.yaml": documents(mesh_policies(mesh)),
        "settings.env": settings(mesh_settings()),
        "resilience.toml": HEADER + RESILIENCE,
        "kustomization.yaml": documents([kustomization]),
    }


def base() -> Mapping[str, str]:
    """Makes the texts of the files of the base, by name."""
    found = {f"{service.name}.yaml": documents(service_objects(service)) for service in SERVICES}
    found |= {
        f"{GATEWAY}.yaml": documents(gateway_objects()),
        "migrations.yaml": documents(jobs()),
        "network.yaml": documents(policies()),
        "ingress.yaml": documents(ingress()),
        "settings.env": settings(SETTINGS),
    }
    resources = sorted(name for name in found if name.endswith(".yaml"))
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
        "configMapGenerator": [{"name": "souk-settings", "envs": ["settings.env"]}],
        "images": [{"name": IMAGE, "newTag": version("souk-platform")}],
        "replacements": [job_names()],
    }
    return found | {"kustomization.yaml": documents([kustomization])}


def job_names() -> Manifest:
    """Makes the rule by which the tag of the image ends the names of Jobs."""
    image = {
        "kind": "Deployment",
        "name": GATEWAY,
        "fieldPath": "spec.template.spec.containers.0.image",
        "options": {"delimiter": ":", "index": 1},
    }
    name = {"fieldPaths": ["metadata.name"], "options": {"delimiter": SEPARATOR, "index": 1}}
    return {"source": image, "targets": [{"select": {"kind": "Job"}, **name}]}


def main() -> int:
    """Writes or checks the files; returns the exit status."""
    wanted = texts()
    folders = {MANIFESTS / Path(name).parent for name in wanted}
    there = {path.relative_to(MANIFESTS).as_posix(): path for folder in folders for path in folder.glob("*")}
    if sys.argv[1:] == ["check"]:
        found = {name: path.read_text("utf-8") for name, path in there.items()}
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        for name in wrong:
            print(f"deploy/kubernetes/{name} is not what the app gives (run `make kubernetes`)", file=sys.stderr)
        return 1 if wrong else 0
    for name in there.keys() - wanted.keys():
        there[name].unlink()
    for name, text in wanted.items():
        path = MANIFESTS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
