"""What a kubelet makes of a pod: files for its volumes, and for each container a bundle that runc runs."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
NAMESPACE = "default"


@dataclass(frozen=True)
class Objects:
    """The ConfigMaps and Secrets that pods refer to, by name: their texts by key."""

    settings: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]


class PodFiles:
    """A pod's folder: its volumes, and the bundles of its containers, whose root is the unpacked image."""

    def __init__(self, folder: Path, name: str, spec: Manifest, image: Path, objects: Objects) -> None:
        self.folder, self.name, self._spec, self._image, self._objects = folder, name, spec, image, objects
        self._user = spec["securityContext"]["runAsUser"]
        self._volumes = {one["name"]: self._volume(one) for one in spec.get("volumes", ())}

    def volume(self, name: str) -> Path:
        """Gives the folder of a volume."""
        return self._volumes[name]

    def _volume(self, volume: Manifest) -> Path:
        folder = self.folder / "volumes" / volume["name"]
        folder.mkdir(parents=True)
        if "secret" in volume:
            for key, text in self._objects.secrets[volume["secret"]["secretName"]].items():
                (folder / key).write_text(text)
                os.chown(folder / key, 0, self._user)
                (folder / key).chmod(volume["secret"]["defaultMode"])
        else:
            assert "emptyDir" in volume, volume
            os.chown(folder, self._user, self._user)
        return folder

    def bundle(self, container: Manifest, resolv_conf: Path) -> Path:
        """Makes the bundle of a container: the configuration of its image, changed as the pod says."""
        bundle = self.folder / container["name"]
        bundle.mkdir()
        made: Manifest = json.loads((self._image / "config.json").read_text())
        rights = container["securityContext"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        process = made["process"]
        process["args"] = [*process["args"][:1], *container["args"]]
        process["env"] += [f"{name}={text}" for name, text in self._variables(container).items()]
        process["user"] = {"uid": self._user, "gid": self._spec["securityContext"]["runAsGroup"]}
        process["capabilities"] = {}
        process["terminal"] = False
        process["noNewPrivileges"] = not rights["allowPrivilegeEscalation"]
        made["root"] = {"path": str(self._image / "rootfs"), "readonly": rights["readOnlyRootFilesystem"]}
        made["hostname"] = self.name
        made["mounts"] += [*self._mounts(container), mount(resolv_conf, "/etc/resolv.conf", read_only=True)]
        kinds = ("pid", "network", "ipc", "uts", "mount")
        made["linux"]["namespaces"] = [{"type": kind} for kind in kinds]
        (bundle / "config.json").write_text(json.dumps(made))
        return bundle

    def _mounts(self, container: Manifest) -> Iterator[Manifest]:
        for one in container["volumeMounts"]:
            yield mount(self._volumes[one["name"]], one["mountPath"], read_only=one.get("readOnly", False))

    def _variables(self, container: Manifest) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= self._objects.settings[source["configMapRef"]["name"]]
        for one in container["env"]:
            text = one["value"] if "value" in one else self._value(one["valueFrom"])
            if text is not None:
                found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], text)
        return found

    def _value(self, source: Manifest) -> str | None:
        if "fieldRef" in source:
            return {"metadata.namespace": NAMESPACE, "metadata.name": self.name}[source["fieldRef"]["fieldPath"]]
        reference = source["secretKeyRef"]
        if reference["name"] not in self._objects.secrets:
            assert reference["optional"], reference
            return None
        return self._objects.secrets[reference["name"]][reference["key"]]


def mount(source: Path, target: str, read_only: bool) -> Manifest:
    """Makes the mount of a file or a folder of this machine."""
    options = ["rbind", "ro" if read_only else "rw"]
    return {"destination": target, "type": "bind", "source": str(source), "options": options}
