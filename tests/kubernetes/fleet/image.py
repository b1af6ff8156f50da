"""Builds the image of deploy/docker without a daemon, on a Debian of its own, and lays it out for runc."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.kubernetes.cluster import ROOT
from tests.kubernetes.fleet.machine import ALONE, call

PROGRAMS = ("buildah", "umoci", "runc", "mmdebstrap", "ip", "nsenter", "setpriv", "unshare")
CERTIFICATES, PIP = Path("/etc/ssl/certs"), Path("/etc/pip.conf")
"""What pip needs on this machine to reach its registry, if it is there."""


def build_image(folder: Path, suite: str = "bookworm") -> Path:
    """Builds it from the wheels in dist; returns the folder of its bundle. Takes some minutes."""
    storage = folder / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n')
    (folder / "registries.conf").write_text("")
    (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    settings = (f"CONTAINERS_STORAGE_CONF={storage}", f"CONTAINERS_REGISTRIES_CONF={folder / 'registries.conf'}")
    own = (*settings, f"TMPDIR={folder}")
    signatures = ("--signature-policy", str(folder / "policy.json"))

    def buildah(*words: str) -> str:
        return call("env", *own, *ALONE, "buildah", *words).strip()

    packages = "--include=python3,python3-venv,python3-pip"
    call(*ALONE, "mmdebstrap", "--variant=minbase", packages, suite, str(folder / "debian"), *sources())
    base = buildah("from", "scratch")
    buildah("copy", "--quiet", base, str(folder / "debian"), "/")
    buildah("commit", "--quiet", *signatures, base, "base")
    mounts = [word for path in (CERTIFICATES, PIP) if path.exists() for word in ("-v", f"{path}:{path}:ro")]
    file = str(ROOT / "deploy" / "docker" / "Dockerfile")
    options = (*signatures, "--isolation", "chroot", *mounts, "--build-arg", "BASE=localhost/base")
    buildah("bud", *options, "-f", file, "-t", "souk:test", str(ROOT))
    buildah("push", "--quiet", *signatures, "souk:test", f"oci:{folder / 'image'}:test")
    call("umoci", "unpack", "--image", f"{folder / 'image'}:test", str(folder / "bundle"))
    return folder / "bundle"


def sources() -> Sequence[str]:
    """Gives the file that says where this machine's apt finds its packages."""
    paths = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
    return [str(path) for path in paths if path.exists()][:1]


def may_build() -> str:
    """Says why this machine cannot build and run it; empty if it can."""
    if os.geteuid() != 0:
        return "only root builds and runs containers"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not any((Path(part) / name).exists() for part in path.split(":"))]
    return f"needs {', '.join(missing)} (Debian's packages of these names, iproute2 and util-linux)" if missing else ""
