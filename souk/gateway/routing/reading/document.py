"""Reads a whole routes file.

    routes:                             each path, and all below it, to an upstream: a URL or a name
      /orders: http://127.0.0.1:3002

Or the full form, a list of routes with the fields of HTTPRoute; and a file may hold HTTPRoutes as Kubernetes has
them, one a document.
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

from souk.gateway.routing.model import Finding, HttpRoute, Match, RoutesFile, RoutesFileRefused, Rule
from souk.gateway.routing.reading.limits import read_limits
from souk.gateway.routing.reading.matches import read_hostname, read_path
from souk.gateway.routing.reading.nodes import NodeReader
from souk.gateway.routing.reading.rules import RuleReader
from souk.gateway.routing.reading.upstreams import UpstreamReader

LARGEST = 4 * 1024 * 1024
KIND = "HTTPRoute"
_GROUP = "gateway.networking.k8s.io/"


def load(path: Path) -> RoutesFile:
    """Reads a file. Raises RoutesFileRefused with everything that is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise RoutesFileRefused(str(path), [Finding(1, 1, f"cannot be read: {error.strerror}")]) from error
    if len(content) > LARGEST:
        raise RoutesFileRefused(str(path), [Finding(1, 1, f"is larger than {LARGEST:,} bytes")])
    try:
        return parse(content.decode(), str(path))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RoutesFileRefused(str(path), [Finding(line, 1, "is not UTF-8")]) from error


def parse(text: str, path: str = "routes.yaml") -> RoutesFile:
    """Reads the text of a file, which messages name by `path`. Raises RoutesFileRefused with all that is wrong."""
    reader = NodeReader()
    found: RoutesFile | None = None
    with reader.composing():
        found = _Document(reader).read(path, list(yaml.compose_all(text, Loader=yaml.SafeLoader)))
    if reader.findings or found is None:
        raise RoutesFileRefused(path, reader.findings)
    return found


class _Document:
    def __init__(self, reader: NodeReader) -> None:
        self._reader, self._upstreams = reader, UpstreamReader(reader)
        self._rules = RuleReader(reader, self._upstreams)

    def read(self, path: str, documents: list[yaml.Node | None]) -> RoutesFile:
        nodes = [node for node in documents if node is not None]
        manifests = [node for node in nodes if _is_manifest(node)]
        known = ("upstreams", "routes", "limits")
        plain = [self._reader.fields(node, "a routes file", known) for node in nodes if node not in manifests]
        for given in plain:  # first, as references to them follow
            if "upstreams" in given:
                self._upstreams.upstreams(given["upstreams"])
        routes = [route for given in plain if "routes" in given for route in self._routes(given["routes"])]
        routes += [self._manifest(node) for node in manifests]
        limits = [one for given in plain if "limits" in given for one in read_limits(self._reader, given["limits"])]
        if not routes and not self._reader.findings:
            self._reader.findings.append(Finding(1, 1, "there is no route; a file begins with `routes:`"))
        return RoutesFile(path, tuple(routes), self._upstreams.resolve(), limits=tuple(limits))

    def _routes(self, node: yaml.Node) -> Iterator[HttpRoute]:
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(self._reader.items(node, "routes"), 1):
                given = self._reader.fields(item, "a route", ("name", "hostnames", "rules"))
                yield self._route(item, given, f"route {number}")
        elif isinstance(node, yaml.MappingNode):
            rules = tuple(self._at_path(*entry) for entry in self._reader.entries(node, "routes"))
            yield HttpRoute("routes", (), rules, node.start_mark.line + 1)
        else:
            self._reader.wrong(node, "routes must be a mapping of paths to upstreams, or a list of routes")

    def _at_path(self, path: str, node: yaml.Node, at: yaml.Node) -> Rule:
        match = Match(read_path(self._reader, at), line=at.start_mark.line + 1, column=at.start_mark.column + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._rules.short(node, path, match)
        return self._rules.rule(node, path, match)

    def _route(self, node: yaml.Node, given: dict[str, yaml.Node], default: str) -> HttpRoute:
        reader, line = self._reader, node.start_mark.line + 1
        name = reader.text(given["name"], "name") if "name" in given else default
        hostnames = reader.all(given.get("hostnames"), "hostnames", lambda item: read_hostname(reader, item))
        if "rules" not in given:
            if isinstance(node, yaml.MappingNode):
                reader.wrong(node, "a route needs rules")
            return HttpRoute(name, hostnames, (), line)
        items = enumerate(reader.items(given["rules"], "rules"), 1)
        rules = tuple(self._rules.rule(item, f"{name}, rule {number}") for number, item in items)
        return HttpRoute(name, tuple(dict.fromkeys(hostnames)), rules, line)

    def _manifest(self, node: yaml.Node) -> HttpRoute:
        reader = self._reader
        given = reader.fields(node, f"an {KIND}", ("apiVersion", "kind", "metadata", "spec", "status"))
        version = reader.text(given["apiVersion"], "apiVersion") if "apiVersion" in given else _GROUP
        if not version.startswith(_GROUP):
            reader.wrong(given["apiVersion"], f"the apiVersion of an {KIND} is {_GROUP}v1, not {version!r}")
        if "spec" not in given:
            reader.wrong(node, f"an {KIND} needs a spec")
            return HttpRoute("")
        about: dict[str, yaml.Node] = {}
        if "metadata" in given:
            about = {key: value for key, value, _ in reader.entries(given["metadata"], "metadata")}
        spec = reader.fields(given["spec"], "a spec", ("parentRefs", "hostnames", "rules", "name"))
        return self._route(given["spec"], {**spec, **({"name": about["name"]} if "name" in about else {})}, KIND)


def _is_manifest(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and any(
        getattr(key, "value", "") == "kind" and getattr(value, "value", "") == KIND for key, value in node.value
    )
