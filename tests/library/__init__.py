"""The contract of the library, compiled when it is imported: it uses everything of google.api.http."""

import importlib
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.api import annotations_pb2 as annotations
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "souktest.library.v1"


def _compiled() -> FileDescriptorSet:
    includes = [
        str(Path(__file__).parent),
        str(ROOT / "contracts"),
        str(files("grpc_tools") / "_proto"),
        str(Path(annotations.__file__).parents[2]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        command = (sys.executable, "-m", "grpc_tools.protoc", *(f"-I{path}" for path in includes))
        subprocess.run(
            [*command, "--include_imports", f"--descriptor_set_out={image}", "library.proto"], check=True, text=True
        )
        return FileDescriptorSet.FromString(image.read_bytes())


IMAGE = _compiled()
"""The contract with all that it imports, as gateways that are not ours read it."""
_pool = descriptor_pool.Default()
for dependency in IMAGE.file[-1].dependency:
    importlib.import_module(f"{dependency.removesuffix('.proto').replace('/', '.')}_pb2")
_pool.AddSerializedFile(IMAGE.file[-1].SerializeToString())
LIBRARY = _pool.FindServiceByName(f"{PACKAGE}.Library")


def message(name: str):  # type: ignore[no-untyped-def]  # a class made at run time
    """Returns a message's class by its name in the contract."""
    return GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
