"""Orders through a fleet with a mesh whose certificates are renewed every ten seconds, and whose root is rotated.

python -m tests.fleet.rotation --seconds 300

Connections between sidecars live long, so strangers with certificates of their own make new ones all the time, and in
the end a process is added, which all its callers connect to. Nothing of this may fail.
"""

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from souk.kernel.clock import SystemClock
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.rotation import RootStage
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, instance_name
from souk.mesh.identity.store import AuthorityStore
from souk.runtime.data.layout import DataLayout
from souk.testing.system import until
from tests.fleet.conftest import Bazaar, opened_bazaar
from tests.market.buyers import Answer, Crowd, counted, p99

LIFE = 20
"""Seconds that a certificate lives; it is renewed at half of that."""
SETTINGS = {"SOUK_MESH_CERTIFICATE_LIFE": str(LIFE)}
CALLEES = ("order-1", "payment-1", "inventory-1", "user-1")
CALLER = Workload("gateway", "gateway-9")
CLIENTS = 2
PATIENCE = 60.0
OVERLAP = 180.0


@dataclass
class Strangers:
    """Connects to sidecars again and again, each time with a new certificate and a new handshake."""

    data: Path
    handshakes: int = 0
    failures: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.authority = CertificateAuthority(AuthorityStore(self.data), Lifetimes.of(LIFE), SystemClock())
        self._thread = threading.Thread(target=self._run, name="strangers")

    def __enter__(self) -> "Strangers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.2):
            for instance in CALLEES:
                try:
                    self._connect(instance)
                    self.handshakes += 1
                except grpc.RpcError as error:
                    self.failures.append(f"{instance}: {error}")

    def _connect(self, instance: str) -> None:
        own = self.authority.issue(CALLER)
        credentials = grpc.ssl_channel_credentials(self.authority.bundle.encode(), own.key.encode(), own.chain.encode())
        named = (("grpc.ssl_target_name_override", instance_name(TRUST_DOMAIN, instance)),)
        path = DataLayout(self.data.resolve()).sidecar(instance).inbound
        with grpc.secure_channel(
            f"unix:{path}", credentials, (*named, ("grpc.use_local_subchannel_pool", 1))
        ) as channel:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)


@dataclass
class Certificates:
    """What the sidecars have shown of their certificates: the serial numbers of their own, and of the roots."""

    data: Path
    own: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    roots: dict[str, set[str]] = field(default_factory=dict)

    def read(self) -> None:
        """Asks each sidecar for those that it has now."""
        for instance in CALLEES:
            path = DataLayout(self.data.resolve()).sidecar(instance).admin
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE) as client:
                found: list[dict[str, Any]] = json.loads(client.get("http://admin/certs").text)["certificates"]
            self.own[instance] |= {one["cert_chain"][0]["serial_number"] for one in found if one.get("cert_chain")}
            self.roots[instance] = {each["serial_number"] for one in found for each in one.get("ca_cert", ())}


@dataclass(frozen=True)
class Rotated:
    """What happened meanwhile: the answers to orders, handshakes, renewals of the sidecar that had fewest, and what
    went wrong."""

    seconds: float
    answers: list[Answer]
    handshakes: int
    renewals: int
    failures: list[str]


def rotated(bazaar: Bazaar, seconds: float) -> Rotated:
    """Runs it all for so long, and at least until the root has been rotated."""
    data, began = bazaar.system.data, time.monotonic()
    certificates = Certificates(data)
    certificates.read()
    before = dict(certificates.roots)
    crowd = Crowd(bazaar.system.url, bazaar.wishes("rotation"), clients=CLIENTS, insist=False)
    with Strangers(data) as strangers, crowd:
        authority = strangers.authority

        def go_on(ends: float) -> None:
            while time.monotonic() < ends:
                time.sleep(min(1.0, max(0.0, ends - time.monotonic())))
                certificates.read()

        def at(stage: RootStage) -> bool:
            certificates.read()
            return authority.rotation.stage is stage

        go_on(began + max(2.0, seconds / 2 - 2 * LIFE))
        authority.rotate_root()
        until(lambda: at(RootStage.OVERLAP), PATIENCE, "the next root signs")
        bazaar.operator.souk("scale", "inventory=2")
        until(lambda: at(RootStage.STEADY), OVERLAP, "the former root is not trusted any more")
        go_on(began + seconds)
        until(lambda: _all_new(certificates, before), PATIENCE, "all sidecars trust the new root alone")
    failures = [str(one) for one in crowd.answers if one.status not in (201, 202)] + strangers.failures
    renewals = min(len(found) - 1 for found in certificates.own.values())
    return Rotated(time.monotonic() - began, crowd.answers, strangers.handshakes, renewals, failures)


def _all_new(certificates: Certificates, before: dict[str, set[str]]) -> bool:
    certificates.read()
    return all(found and not found & before[instance] for instance, found in certificates.roots.items())


def main() -> None:
    """Runs it on a fleet of its own, and prints what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, opened_bazaar(Path(folder), "--mesh", settings=SETTINGS) as bazaar:
        bazaar.prepare()
        found = rotated(bazaar, seconds)
        bazaar.audit()
    print(
        f"{found.seconds:.0f} s; {len(found.answers)} orders, p99 {p99(found.answers):.0f} ms: {counted(found.answers)}"
    )
    print(f"{found.handshakes} new connections of strangers; each sidecar had at least {found.renewals} renewals")
    print(f"the root was rotated once; {len(found.failures)} failures", *found.failures[:10], sep="\n")
    raise SystemExit(1 if found.failures else 0)


if __name__ == "__main__":
    main()
