"""Reads upstreams: the named ones, and the references to them, which may be URLs."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

import yaml

from souk.gateway.routing.model import UpstreamSpec
from souk.gateway.routing.reading.nodes import NodeReader
from souk.gateway.routing.reading.upstream_limits import LIMITS, read_upstream_limits
from souk.kernel.suggest import meant

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
FIELDS = ("urls", "service", "protocol", *LIMITS)
SCHEMES = ("http", "https")
PROTOCOLS: Mapping[str, bool] = MappingProxyType({"http1": False, "h2": True})
"""Whether it is HTTP/2, by the name of a protocol."""


class UpstreamReader:
    """Reads upstreams, and resolves references once all of them are known."""

    def __init__(self, reader: NodeReader) -> None:
        self._reader = reader
        self._named: dict[str, UpstreamSpec] = {}
        self._direct: dict[str, UpstreamSpec] = {}
        self._references: list[tuple[yaml.Node, str]] = []

    def upstreams(self, node: yaml.Node) -> None:
        """Reads the mapping `upstreams`."""
        for name, value, at in self._reader.entries(node, "upstreams"):
            if not _NAME.fullmatch(name):
                self._reader.wrong(at, f"the name of an upstream has small letters, digits and hyphens, not {name!r}")
            if name in self._named:
                self._reader.wrong(at, f"the upstream {name!r} is given twice")
            self._named[name] = self._upstream(name, value, at)

    def _upstream(self, name: str, node: yaml.Node, at: yaml.Node) -> UpstreamSpec:
        reader, line = self._reader, at.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            return UpstreamSpec(name, (self._url(node),), line=line)
        if isinstance(node, yaml.SequenceNode):
            return UpstreamSpec(name, self._urls(node, name), line=line)
        given = reader.fields(node, f"the upstream {name!r}", FIELDS)
        if isinstance(node, yaml.MappingNode) and ("urls" in given) == ("service" in given):
            reader.wrong(node, f"the upstream {name!r} needs either urls or service")
        urls = self._urls(given["urls"], name) if "urls" in given else ()
        service = reader.text(given["service"], "service") if "service" in given else ""
        limits = read_upstream_limits(reader, given)
        return UpstreamSpec(name, urls, service, line, http2=self._http2(given), limits=limits)

    def _http2(self, given: dict[str, yaml.Node]) -> bool:
        if "protocol" not in given:
            return False
        return self._reader.one_of(given["protocol"], "the protocol of an upstream", PROTOCOLS, False)

    def _urls(self, node: yaml.Node, name: str) -> tuple[str, ...]:
        found = self._reader.all(node, f"the URLs of {name!r}", self._url)
        if isinstance(node, yaml.SequenceNode) and not found:
            self._reader.wrong(node, f"the upstream {name!r} needs at least one URL")
        return found

    def _url(self, node: yaml.Node) -> str:
        text = self._reader.text(node, "a URL")
        if text and (problem := _unfit(text)):
            self._reader.wrong(node, f"{problem}: {text!r}")
        return text.rstrip("/")

    def reference(self, node: yaml.Node) -> str:
        """Reads a reference to an upstream: a name, or a URL."""
        text = self._reader.text(node, "an upstream")
        if "://" in text:
            return self._direct_to(node, self._url(node))
        self._references.append((node, text))
        return text

    def backend(self, node: yaml.Node, given: dict[str, yaml.Node]) -> str:
        """Reads the fields `name` or `url`, `port` and `namespace` of a reference.

        A name with a port that is no upstream's is a host, as in Kubernetes, where services have DNS names.
        """
        reader = self._reader
        if ("name" in given) == ("url" in given):
            if isinstance(node, yaml.MappingNode):
                reader.wrong(node, "a backend needs either a name or a url")
            return ""
        if "url" in given:
            if "port" in given:
                reader.wrong(given["port"], "the port is a part of the url")
            return self._direct_to(given["url"], self._url(given["url"]))
        name = reader.text(given["name"], "name")
        if "port" not in given:
            self._references.append((given["name"], name))
            return name
        port = reader.whole(given["port"], "port", 1, 65_535)
        if name in self._named:
            reader.wrong(given["port"], f"the URLs of the upstream {name!r} have the port")
            return name
        host = f"{name}.{reader.text(given['namespace'], 'namespace')}" if "namespace" in given else name
        if not _NAME.fullmatch(name):
            reader.wrong(given["name"], f"the name of a backend has small letters, digits and hyphens, not {name!r}")
        return self._direct_to(node, f"http://{host}:{port}")

    def _direct_to(self, node: yaml.Node, url: str) -> str:
        self._direct.setdefault(url, UpstreamSpec(url, (url,), line=node.start_mark.line + 1))
        return url

    def resolve(self) -> tuple[UpstreamSpec, ...]:
        """Checks that every name that was referred to is an upstream's. Gives all upstreams."""
        for node, name in self._references:
            if name and name not in self._named:
                known = meant(name, self._named) or "; list it under `upstreams`, or give its URL"
                self._reader.wrong(node, f"there is no upstream {name!r}{known}")
        return (*self._named.values(), *self._direct.values())


def _unfit(text: str) -> str:
    """Says what is wrong with a URL; nothing when it is fine."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "this is not a URL"
    if parts.scheme not in SCHEMES:
        return "a URL begins with http:// or https://"
    if not host or port == 0 or any(character <= " " for character in text):
        return "a URL is written as http://host:port"
    if parts.username is not None or parts.query or parts.fragment:
        return "the URL of an upstream has a host and a port, and nothing else"
    if parts.path not in ("", "/"):
        return "the URL of an upstream has no path; urlRewrite changes paths"
    return ""
