"""Reads what a rule matches: paths, methods, headers and query parameters, and the hostnames of a route."""

import re
from collections.abc import Callable, Iterable

import yaml

from souk.gateway.routing.model import Match, PathMatch, PathType, ValueMatch
from souk.gateway.routing.reading.nodes import NodeReader

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
"""The name of a header (RFC 9110, 5.6.2)."""
_PATH_TYPES = {one.value: one for one in PathType}
_VALUE_TYPES = {"Exact": False, "RegularExpression": True}
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(\*\.)?({_LABEL}\.)*{_LABEL}")
_ADDRESS = re.compile(r"[0-9.]+")
_FORBIDDEN = ("//", "/./", "/../", "%2f", "%2F", "#", "?")
_PCHARS = re.compile(r"(?:[A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})+")
_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")


def read_match(reader: NodeReader, node: yaml.Node) -> Match:
    """Reads one entry of `matches`."""
    given = reader.fields(node, "a match", ("path", "method", "headers", "queryParams"))
    path = read_path(reader, given["path"]) if "path" in given else PathMatch()
    method = ""
    if "method" in given:
        method = reader.one_of(given["method"], "method", {name: name for name in METHODS}, "")
    headers = _values(reader, given.get("headers"), "headers", _header_name)
    query = _values(reader, given.get("queryParams"), "queryParams", _query_name)
    return Match(path, method, headers, query, node.start_mark.line + 1, node.start_mark.column + 1)


def read_path(reader: NodeReader, node: yaml.Node) -> PathMatch:
    """Reads a path: a mapping of `type` and `value`, or a text, which is a template or a prefix."""
    if isinstance(node, yaml.ScalarNode):
        text = reader.text(node, "path")
        kind = PathType.TEMPLATE if "{" in text else PathType.PREFIX
        return _path(reader, node, kind, text)
    given = reader.fields(node, "a path", ("type", "value"))
    kind = PathType.PREFIX
    if "type" in given:
        kind = reader.one_of(given["type"], "the type of a path", _PATH_TYPES, kind)
    if "value" not in given:
        if kind is not PathType.PREFIX:
            reader.wrong(node, f"a path of type {kind.value} needs a value")
        return PathMatch()
    return _path(reader, given["value"], kind, reader.text(given["value"], "the value of a path"))


def _path(reader: NodeReader, node: yaml.Node, kind: PathType, value: str) -> PathMatch:
    if kind is PathType.REGEX:
        return PathMatch(kind, value, reader.pattern(node, "the value of a path", value))
    check_path(reader, node, "a path", _VARIABLE.sub("x", value) if kind is PathType.TEMPLATE else value)
    if kind is PathType.TEMPLATE:
        _check_template(reader, node, value)
    return PathMatch(kind, value)


def check_path(reader: NodeReader, node: yaml.Node, what: str, value: str) -> None:
    """Keeps what is wrong with a path, by the rules of the Gateway API."""
    if not value.startswith("/"):
        reader.wrong(node, f"{what} begins with a slash, as in /orders, not {value!r}")
    elif bad := next((one for one in _FORBIDDEN if one in value), ""):
        reader.wrong(node, f"{what} must not contain {bad!r}: {value!r}")
    elif value.endswith(("/.", "/..")):
        reader.wrong(node, f"{what} must not end with a dot segment: {value!r}")
    elif not _PCHARS.fullmatch(value):
        reader.wrong(node, f"{what} must be written as in a URL, other characters as %XX: {value!r}")


def _check_template(reader: NodeReader, node: yaml.Node, value: str) -> None:
    names = [one for one in value.split("/") if "{" in one or "}" in one]
    for segment in names:
        if not _VARIABLE.fullmatch(segment):
            reader.wrong(node, f"a variable is a whole segment, as in /users/{{id}}, not {segment!r}")
    if len(set(names)) != len(names):
        reader.wrong(node, f"a variable is named twice in {value!r}")
    if not names:
        reader.wrong(node, f"a template has a variable, as in /users/{{id}}; type Exact matches {value!r} alone")


def _values(
    reader: NodeReader, node: yaml.Node | None, what: str, named: Callable[[NodeReader, yaml.Node], str]
) -> tuple[ValueMatch, ...]:
    if isinstance(node, yaml.MappingNode):  # name: value
        return tuple(
            ValueMatch(named(reader, at), reader.text(value, "a value")) for _, value, at in reader.entries(node, what)
        )
    found = reader.all(node, what, lambda item: (item, _value(reader, item, what, named)))
    check_once(reader, ((item, one.name) for item, one in found))
    return tuple(one for _, one in found)


def _value(reader: NodeReader, node: yaml.Node, what: str, named: Callable[[NodeReader, yaml.Node], str]) -> ValueMatch:
    given = reader.fields(node, f"an entry of {what}", ("type", "name", "value"))
    for name in ("name", "value"):
        if name not in given and isinstance(node, yaml.MappingNode):
            reader.wrong(node, f"an entry of {what} needs a {name}")
    name = named(reader, given["name"]) if "name" in given else ""
    value = reader.text(given["value"], "a value") if "value" in given else ""
    is_pattern = "type" in given and reader.one_of(given["type"], "type", _VALUE_TYPES, False)
    pattern = reader.pattern(given["value"], "the value", value) if is_pattern and "value" in given else None
    return ValueMatch(name, value, pattern)


def check_once(reader: NodeReader, found: Iterable[tuple[yaml.Node, str]]) -> None:
    """Keeps names that are there twice."""
    earlier: dict[str, int] = {}
    for node, name in found:
        if name and name in earlier:
            reader.wrong(node, f"{name!r} is named twice; first in line {earlier[name]}")
        earlier.setdefault(name, node.start_mark.line + 1)


def _header_name(reader: NodeReader, node: yaml.Node) -> str:
    return read_header_name(reader, node)


def read_header_name(reader: NodeReader, node: yaml.Node) -> str:
    """Reads the name of a header; gives it in lower case."""
    text = reader.text(node, "the name of a header")
    if not TOKEN.fullmatch(text):
        reader.wrong(node, f"the name of a header has letters, digits and hyphens, not {text!r}")
    return text.lower()


def _query_name(reader: NodeReader, node: yaml.Node) -> str:
    text = reader.text(node, "the name of a query parameter")
    if not text:
        reader.wrong(node, "the name of a query parameter must not be empty")
    return text


def read_hostname(reader: NodeReader, node: yaml.Node, *, wildcard: bool = True) -> str:
    """Reads a hostname, which may begin with `*.` if `wildcard`; gives it in lower case."""
    text = reader.text(node, "a hostname")
    host = text.lower()
    if ":" in host and not host.startswith("["):
        reader.wrong(node, f"a hostname has no port: {host.partition(':')[0]!r}, not {text!r}")
    elif _ADDRESS.fullmatch(host) or host.startswith("["):
        reader.wrong(node, f"a hostname is a name, not an address such as {text!r}")
    elif not _HOSTNAME.fullmatch(host) or len(host) > 253 or ("*" in host and not wildcard):
        example = "shop.example.com or *.example.com" if wildcard else "shop.example.com"
        reader.wrong(node, f"a hostname is written as {example}, not {text!r}")
    return host
