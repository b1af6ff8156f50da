"""What a routes file says, as frozen values with the names of the Kubernetes Gateway API (HTTPRoute, v1).

Times are in seconds. `line` is where a part begins in its file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from souk.descriptors.contract import Access, RateClass
from souk.kernel.errors import ConfigurationError


class PathType(Enum):
    """How a path is compared. `Template` is ours: `{name}` stands for one segment that is not empty."""

    EXACT = "Exact"
    TEMPLATE = "Template"
    REGEX = "RegularExpression"
    PREFIX = "PathPrefix"


@dataclass(frozen=True, slots=True)
class PathMatch:
    """The path that a match wants. `pattern` is set for a regular expression, which the whole path has to match."""

    type: PathType = PathType.PREFIX
    value: str = "/"
    pattern: "re.Pattern[str] | None" = None

    @property
    def prefix(self) -> str:
        """The value of a prefix without a slash at its end: the prefix `/` is empty."""
        return self.value.rstrip("/")


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """A header (its name is in lower case) or a query parameter, and what its value has to be."""

    name: str
    value: str
    pattern: "re.Pattern[str] | None" = None

    def fits(self, value: str | None) -> bool:
        """Whether this value, which is None where the request has none, is the one that is wanted."""
        if value is None:
            return False
        return value == self.value if self.pattern is None else self.pattern.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Match:
    """One set of conditions, all of which a request has to meet. An empty `method` means any."""

    path: PathMatch = PathMatch()
    method: str = ""
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        parts = [self.method, f"{self.path.type.value} {self.path.value}"]
        parts += [f"header {one.name}: {one.value}" for one in self.headers]
        parts += [f"query {one.name}={one.value}" for one in self.query]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class PathChange:
    """A new path: a whole one, or one that takes the place of the prefix that matched."""

    full: str | None = None
    prefix: str | None = None

    def of(self, path: str, matched: str) -> str:
        """Gives the new path for `path`, of which `matched` is the prefix (without a slash at its end)."""
        if self.full is not None:
            return self.full
        rest = path[len(matched) :].removeprefix("/")
        head = (self.prefix or "/").rstrip("/")
        if not rest:
            slash = "/" if path.endswith("/") and len(path) > len(matched) else ""
            return head + slash or "/"
        return f"{head}/{rest}"


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """Changes of headers; names are in lower case. First `set`, then `add`, then `remove`."""

    set: tuple[tuple[bytes, bytes], ...] = ()
    add: tuple[tuple[bytes, bytes], ...] = ()
    remove: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that sends the client elsewhere. What is not given stays as it was requested."""

    scheme: str = ""
    hostname: str = ""
    port: int = 0
    path: PathChange | None = None
    status: int = 302


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A change of what the backend is asked for."""

    hostname: str = ""
    path: PathChange | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another upstream that gets a copy of `numerator` of every `denominator` requests; its answers are ignored."""

    upstream: str
    numerator: int = 1
    denominator: int = 1


@dataclass(frozen=True, slots=True)
class Cors:
    """What pages of other origins may do (the Fetch standard). `max_age` is in seconds."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int = 5


@dataclass(frozen=True, slots=True)
class Filters:
    """What happens to a request and its answer on the way."""

    request_headers: HeaderChange | None = None
    response_headers: HeaderChange | None = None
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    cors: Cors | None = None
    mirrors: tuple[Mirror, ...] = ()


@dataclass(frozen=True, slots=True)
class BackendRef:
    """An upstream that takes `weight` parts of a rule's requests."""

    upstream: str
    weight: int = 1
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The limits for a whole request and for each try, in seconds; 0 is none, None is the default."""

    request: float | None = None
    backend_request: float | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which answers are tried again besides failed connections, how often at most, and the least pause between."""

    codes: frozenset[int] = frozenset()
    attempts: int = 1
    backoff: float = 0.025


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that meet one of `matches` go to `backends`, or are redirected.

    `access`, `scopes` and `rate_class` say who may send them and how many, in the terms of contracts; without a class
    no rate limit holds. `max_body` is in bytes, `max_running` is how many may run at
    once. `replaces_contract` allows a match at the very place of a contract's route.
    """

    name: str
    matches: tuple[Match, ...] = (Match(),)
    filters: Filters = Filters()
    backends: tuple[BackendRef, ...] = ()
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy | None = None
    access: Access = Access.ANYONE
    scopes: frozenset[str] = frozenset()
    rate_class: RateClass | None = None
    max_body: int | None = None
    max_running: int | None = None
    replaces_contract: bool = False
    line: int = 0


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """Rules for some hostnames: none means every one; `*.example.com` stands for all names that end so."""

    name: str
    hostnames: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """What a file says of the connections to an upstream and of its answers; None is the default.

    Times are in seconds, sizes in bytes; `connections` are those to each instance.
    """

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    keep_for: float | None = None
    connections: int | None = None
    max_head: int | None = None
    max_answer: int | None = None


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """Where an upstream is: at listed URLs, or at the instances of a service in the registry.

    With `http2` it is spoken to in HTTP/2, without TLS by prior knowledge.
    """

    name: str
    urls: tuple[str, ...] = ()
    service: str = ""
    line: int = 0
    http2: bool = False
    limits: UpstreamLimits = UpstreamLimits()


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A change of the rate limit of this name, or a new one; `values` are in the terms of the file of policies."""

    name: str
    values: Mapping[str, Any]
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class RoutesFile:
    """Everything that a routes file says. `path` names the file in messages.

    `owns_root` says that `/` is the file's and not the gateway's, even without a rule for it.
    """

    path: str
    routes: tuple[HttpRoute, ...] = ()
    upstreams: tuple[UpstreamSpec, ...] = ()
    owns_root: bool = True
    limits: tuple[LimitChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong in a file: where, counted from 1, and what would be right."""

    line: int
    column: int
    text: str


class RoutesFileRefused(ConfigurationError):
    """A routes file is wrong. Its text has one line for each thing that is, as `file:line:column: what`."""

    def __init__(self, path: str, findings: Sequence[Finding]) -> None:
        self.path, self.findings = path, tuple(sorted(findings, key=lambda one: (one.line, one.column)))
        super().__init__("\n".join(f"{path}:{one.line}:{one.column}: {one.text}" for one in self.findings))
