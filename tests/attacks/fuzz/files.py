"""Mutated files: whatever they hold, they are read or refused in words, and never take long."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random

from souk.gateway.limits.policies_file import read_policies
from souk.gateway.routing.model import RoutesFileRefused
from souk.gateway.routing.reading.document import load
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.issuers import read_issuers
from souk.runtime.config.resilience import read_resilience
from tests.attacks.fuzz.mutation import mutated, spliced

ROUTES = (
    b"routes: {/auth: 'http://127.0.0.1:3001', /orders: 'http://127.0.0.1:3002'}\n",
    b"""
upstreams:
  orders: [http://10.0.0.1:3002]
  search: {service: search}
routes:
- name: shop
  hostnames: ['*.shop.example.com']
  rules:
  - name: new
    matches:
    - path: {type: PathPrefix, value: /orders}
      method: POST
      headers: [{name: version, value: two}]
    backendRefs:
    - {name: orders, weight: 9}
    timeouts: {request: 5s}
    access: caller
    scopes: [a.b]
    retry: {codes: [502], attempts: 2, backoff: 50ms}
""",
    b"""
routes:
- rules:
  - matches: [{path: {type: RegularExpression, value: '/a(b|c)*'}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
""",
    b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nroutes: {/: *c}\n",
)
DEEP = b"a = " + b"[" * 3_000
LIMITS = (
    b'[read]\ncount = 100\nwindow = "1m"\nby = "caller"\nclasses = ["read"]\n[write]\noff = true\n',
    b'[mine]\ncount = 5\nburst = 2\nwindow = "10s"\nby = "address"\nclasses = ["sensitive"]\nshared = "open"\n',
    DEEP,
)
ISSUERS = (
    b'[staff]\nissuer = "https://login.example.com"\naudience = "souk"\nalgorithms = ["RS256"]\n'
    b'roles_claim = "realm_access.roles"\nroles = {shop-admins = "admin"}\n',
    DEEP,
)
RESILIENCE = (
    b"[default]\nretries = 2\n[payment.breaker]\nfailure_rate = 0.5\nopen_interval = 5.0\n",
    DEEP,
)


def _routes(path: Path) -> None:
    with suppress(RoutesFileRefused):
        load(path)


def _configured(read: Callable[[Path], object]) -> Callable[[Path], None]:
    def reading(path: Path) -> None:
        with suppress(ConfigurationError):
            read(path)

    return reading


READERS: Mapping[str, tuple[Callable[[Path], None], tuple[bytes, ...]]] = {
    "routes file": (_routes, ROUTES),
    "limits file": (_configured(lambda path: read_policies(path, "SOUK_LIMIT_POLICIES")), LIMITS),
    "issuers file": (_configured(read_issuers), ISSUERS),
    "resilience file": (_configured(read_resilience), RESILIENCE),
}


def read_one(name: str, random: Random, folder: Path) -> bytes:
    """Lets a reader read a mutated file; returns it. Raises whatever the reader should not raise."""
    reader, seeds = READERS[name]
    octets = random.choice(seeds)
    if random.random() < 0.2:
        octets = spliced(octets, random.choice(seeds), random)
    octets = mutated(octets, random)
    path = folder / name.replace(" ", ".")
    path.write_bytes(octets)
    reader(path)
    return octets
