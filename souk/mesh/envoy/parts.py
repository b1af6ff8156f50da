"""What many of Envoy's resources are made of, as dicts in protobuf's JSON: addresses, times, shares, extensions."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from souk.kernel.addresses import socket_path
from souk.mesh.envoy.messages import TYPE_URL

Part: TypeAlias = Mapping[str, Any]
"""A message of Envoy as its JSON; with "@type" where it is one of several."""

ADS: Part = {"ads": {}, "resource_api_version": "V3"}
"""A source of configuration: the stream over which the control plane sends everything."""
BOUNDLESS = 1 << 30
"""What stands for no limit where Envoy has one."""


def typed(message: str, **fields: Any) -> dict[str, Any]:
    """Makes a message with its type, whose name follows "envoy."."""
    return {"@type": f"{TYPE_URL}envoy.{message}", **fields}


def extension(name: str, message: str, **fields: Any) -> dict[str, Any]:
    """Makes the configuration of an extension by its name; the name of its type follows "envoy.extensions."."""
    return {"name": name, "typed_config": typed(f"extensions.{message}", **fields)}


def duration(seconds: float | None) -> str:
    """Writes a time as protobuf's JSON does, to the microsecond; None, which is no limit, is 0."""
    return f"{seconds or 0:.6f}".rstrip("0").rstrip(".") + "s"


def fraction(share: float) -> Part:
    """Makes a fraction from a share of 0 to 1, to the millionth."""
    return {"numerator": round(share * 1_000_000), "denominator": "MILLION"}


def address(text: str) -> dict[str, Any]:
    """Makes an address from `host:port` or `unix:/absolute/path`."""
    if path := socket_path(text):
        return {"pipe": {"path": path}}
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
