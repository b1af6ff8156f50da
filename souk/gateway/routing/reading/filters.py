"""Reads the filters of a rule or of a backend, in the Gateway API's form.

    - type: RequestRedirect
      requestRedirect: {scheme: https}

`type` may be left out: the field says it.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import yaml

from souk.gateway.routing.filters.cors import is_origin
from souk.gateway.routing.model import Cors, Filters, HeaderChange, Mirror, PathChange, Redirect, Rewrite
from souk.gateway.routing.reading.matches import METHODS, TOKEN, check_once, check_path, read_header_name, read_hostname
from souk.gateway.routing.reading.nodes import NodeReader

Upstream = Callable[[yaml.Node], str]
"""Reads a reference to an upstream, and gives its name."""

FIELDS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
    "CORS": "cors",
}
_STATUSES = {str(status): status for status in (301, 302, 303, 307, 308)}
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]*")
KEPT = frozenset(
    {"host", "connection", "transfer-encoding", "content-length", "upgrade", "te", "trailer", "keep-alive"}
)
"""Headers that belong to a connection or to the framing of a message: no filter changes them."""
_PATH_FIELDS = {"ReplaceFullPath": "replaceFullPath", "ReplacePrefixMatch": "replacePrefixMatch"}


class FilterReader:
    """Reads filters; `upstream` reads a reference to an upstream."""

    def __init__(self, reader: NodeReader, upstream: Upstream) -> None:
        self._reader, self._upstream = reader, upstream

    def filters(self, node: yaml.Node | None, where: str) -> Filters:
        """Reads a list of filters."""
        found, earlier = Filters(), set[str]()
        for item in () if node is None else self._reader.items(node, f"the filters of {where}"):
            given = self._reader.fields(item, "a filter", ("type", *FIELDS.values()))
            field = self._field(item, given)
            if field is None:
                continue
            if field in earlier and field != "requestMirror":
                self._reader.wrong(item, f"{field} is there twice; only RequestMirror may be repeated")
            earlier.add(field)
            found = self._with(found, field, given[field])
        return found

    def _field(self, node: yaml.Node, given: dict[str, yaml.Node]) -> str | None:
        reader, fields = self._reader, [name for name in given if name != "type"]
        wanted = fields[0] if fields else None
        if "type" in given:
            wanted = reader.one_of(given["type"], "the type of a filter", FIELDS, "") or None
        if wanted is None:
            if not given and isinstance(node, yaml.MappingNode):
                reader.wrong(node, f"a filter is one of {', '.join(FIELDS)}")
            return None
        if fields != [wanted]:
            reader.wrong(node, f"this filter needs the field {wanted!r}, and no other")
            return None
        return wanted

    def _with(self, found: Filters, field: str, node: yaml.Node) -> Filters:
        if field == "requestHeaderModifier":
            return replace(found, request_headers=self._headers(node))
        if field == "responseHeaderModifier":
            return replace(found, response_headers=self._headers(node))
        if field == "requestRedirect":
            return replace(found, redirect=self._redirect(node))
        if field == "urlRewrite":
            return replace(found, rewrite=self._rewrite(node))
        if field == "cors":
            return replace(found, cors=self._cors(node))
        return replace(found, mirrors=(*found.mirrors, self._mirror(node)))

    def _headers(self, node: yaml.Node) -> HeaderChange:
        given = self._reader.fields(node, "a header modifier", ("set", "add", "remove"))
        removed = self._reader.all(given.get("remove"), "remove", self._changed_name)
        return HeaderChange(
            self._pairs(given.get("set"), "set"), self._pairs(given.get("add"), "add"), frozenset(removed)
        )

    def _pairs(self, node: yaml.Node | None, what: str) -> tuple[tuple[bytes, bytes], ...]:
        reader = self._reader
        if isinstance(node, yaml.MappingNode):  # name: value
            return tuple((self._changed_name(at), self._value(value)) for _, value, at in reader.entries(node, what))
        found = reader.all(node, what, lambda item: (item, *self._pair(item, what)))
        check_once(reader, ((item, name.decode("latin-1")) for item, name, _ in found))
        return tuple((name, value) for _, name, value in found)

    def _pair(self, node: yaml.Node, what: str) -> tuple[bytes, bytes]:
        given = self._reader.fields(node, f"an entry of {what}", ("name", "value"))
        if len(given) < 2 and isinstance(node, yaml.MappingNode):
            self._reader.wrong(node, f"an entry of {what} needs a name and a value")
            return b"", b""
        return (self._changed_name(given["name"]), self._value(given["value"])) if given else (b"", b"")

    def _changed_name(self, node: yaml.Node) -> bytes:
        name = read_header_name(self._reader, node)
        if name in KEPT or name.startswith("souk-"):
            hint = "; urlRewrite.hostname changes it" if name == "host" else ""
            self._reader.wrong(node, f"the gateway itself writes the header {name!r}{hint}")
        return name.encode("ascii", "replace")

    def _value(self, node: yaml.Node) -> bytes:
        text = self._reader.text(node, "the value of a header")
        if not _VALUE.fullmatch(text) or text.strip() != text:
            self._reader.wrong(node, f"the value of a header is one line without spaces around it, not {text!r}")
        return text.encode("latin-1", "replace")

    def _redirect(self, node: yaml.Node) -> Redirect:
        reader = self._reader
        given = reader.fields(node, "requestRedirect", ("scheme", "hostname", "port", "path", "statusCode"))
        scheme = ""
        if "scheme" in given:
            scheme = reader.one_of(given["scheme"], "scheme", {"http": "http", "https": "https"}, "")
        return Redirect(
            scheme,
            read_hostname(reader, given["hostname"], wildcard=False) if "hostname" in given else "",
            reader.whole(given["port"], "port", 1, 65_535) if "port" in given else 0,
            self._path(given["path"]) if "path" in given else None,
            reader.one_of(given["statusCode"], "statusCode", _STATUSES, 302) if "statusCode" in given else 302,
        )

    def _rewrite(self, node: yaml.Node) -> Rewrite:
        given = self._reader.fields(node, "urlRewrite", ("hostname", "path"))
        if not given and isinstance(node, yaml.MappingNode):
            self._reader.wrong(node, "urlRewrite needs a hostname, a path, or both")
        hostname = read_hostname(self._reader, given["hostname"], wildcard=False) if "hostname" in given else ""
        return Rewrite(hostname, self._path(given["path"]) if "path" in given else None)

    def _path(self, node: yaml.Node) -> PathChange:
        reader = self._reader
        given = reader.fields(node, "a path change", ("type", *_PATH_FIELDS.values()))
        fields = [name for name in given if name != "type"]
        if "type" in given:
            wanted = reader.one_of(given["type"], "the type of a path change", _PATH_FIELDS, "")
            if wanted and fields != [wanted]:
                reader.wrong(node, f"this path change needs the field {wanted!r}, and no other")
                return PathChange()
        if len(fields) != 1:
            if isinstance(node, yaml.MappingNode):
                reader.wrong(node, "a path change needs one of replaceFullPath and replacePrefixMatch")
            return PathChange()
        value = reader.text(given[fields[0]], fields[0])
        if value or fields[0] == "replaceFullPath":
            check_path(reader, given[fields[0]], "a path", value)
        return PathChange(full=value) if fields[0] == "replaceFullPath" else PathChange(prefix=value)

    def _mirror(self, node: yaml.Node) -> Mirror:
        reader = self._reader
        given = reader.fields(node, "requestMirror", ("backendRef", "percent", "fraction"))
        if "backendRef" not in given:
            reader.wrong(node, "requestMirror needs a backendRef")
            return Mirror("")
        upstream = self._upstream(given["backendRef"])
        if "percent" in given and "fraction" in given:
            reader.wrong(given["fraction"], "percent and fraction say the same thing; give one of them")
        if "percent" in given:
            return Mirror(upstream, reader.whole(given["percent"], "percent", 0, 100), 100)
        if "fraction" not in given:
            return Mirror(upstream)
        parts = reader.fields(given["fraction"], "fraction", ("numerator", "denominator"))
        if "numerator" not in parts:
            reader.wrong(given["fraction"], "fraction needs a numerator")
            return Mirror(upstream)
        below = reader.whole(parts["denominator"], "denominator", 1, 1_000_000) if "denominator" in parts else 100
        return Mirror(upstream, reader.whole(parts["numerator"], "numerator", 0, below), below)

    def _cors(self, node: yaml.Node) -> Cors:
        reader = self._reader
        known = ("allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "allowCredentials", "maxAge")
        given = reader.fields(node, "cors", known)
        return Cors(
            reader.all(given.get("allowOrigins"), "allowOrigins", self._origin),
            reader.all(given.get("allowMethods"), "allowMethods", self._method),
            reader.all(given.get("allowHeaders"), "allowHeaders", self._cors_header),
            reader.all(given.get("exposeHeaders"), "exposeHeaders", self._cors_header),
            "allowCredentials" in given and reader.flag(given["allowCredentials"], "allowCredentials"),
            reader.whole(given["maxAge"], "maxAge", 1, 2**31 - 1) if "maxAge" in given else 5,
        )

    def _origin(self, node: yaml.Node) -> str:
        text = self._reader.text(node, "an origin").lower()
        if not is_origin(text):
            self._reader.wrong(node, f"an origin is * or as in https://shop.example.com, not {text!r}")
        return text

    def _method(self, node: yaml.Node) -> str:
        return self._reader.one_of(node, "a method", {name: name for name in (*METHODS, "*")}, "")

    def _cors_header(self, node: yaml.Node) -> str:
        text = self._reader.text(node, "the name of a header")
        if not TOKEN.fullmatch(text):
            self._reader.wrong(node, f"the name of a header has letters, digits and hyphens, not {text!r}")
        return text
