"""An authority whose clock a test sets, and TLS between two of its workloads, in memory."""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.mesh.envoy.secrets import Secret, roots_secret
from souk.mesh.identity.authority import CertificateAuthority, WorkloadCertificate
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.spiffe import TRUST_DOMAIN, Workload, service_id, trust_domain_id
from souk.mesh.identity.store import AuthorityStore
from souk.testing.clocks import FakeClock

SHORT = Lifetimes(leaf=240, intermediate=960, root=3840, skew=20, delay=60, backdated=100)
TICK = 10
PAYMENT, ORDER = Workload("payment", "payment-1"), Workload("order", "order-2")


class SetClock(FakeClock):
    """A clock whose date a test can also set, as an operator does; the monotonic time goes on."""

    def jump(self, seconds: float) -> None:
        self._now += round(seconds * MICROSECONDS)


class ServingClock(SystemClock):
    """The machine's clock, for a process that has served for longer than it runs."""

    def __init__(self) -> None:
        self._longer = 0.0

    def serve(self, seconds: float) -> None:
        self._longer += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._longer


def authority(data: Path, clock: Any, lifetimes: Lifetimes = SHORT) -> CertificateAuthority:
    """Opens the authority of a data directory, as a process that starts does."""
    return CertificateAuthority(AuthorityStore(data), lifetimes, clock)


def serve(fleet: CertificateAuthority, clock: FakeClock, seconds: float) -> None:
    """Lets time pass in which the control plane works."""
    for _ in range(round(seconds / TICK)):
        clock.advance(TICK)
        fleet.advance()


@dataclass
class Peer:
    """A sidecar: its certificate, and the secret by which it judges others."""

    certificate: WorkloadCertificate
    secret: Secret

    @classmethod
    def of(cls, certificate: WorkloadCertificate, bundle: str, expects: str) -> "Peer":
        """A peer that accepts one service."""
        return cls(certificate, peer_secret("peer", bundle, service_id(TRUST_DOMAIN, expects)))

    def context(self, protocol: int, folder: Path) -> ssl.SSLContext:
        file = folder / f"{self.certificate.workload.instance}.pem"
        file.write_text(self.certificate.key + self.certificate.chain)
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.secret["validation_context"]["trusted_ca"]["inline_string"])
        return context

    def accepts(self, presented: Any) -> None:
        """Applies the matchers of the secret as Envoy does: one of them must match one of the names."""
        uris = [name for kind, name in presented["subjectAltName"] if kind == "URI"]
        for each in self.secret["validation_context"]["match_typed_subject_alt_names"]:
            matcher = each["matcher"]
            if any(uri == matcher.get("exact") or uri.startswith(matcher.get("prefix", "\0")) for uri in uris):
                return
        raise ssl.SSLCertVerificationError(f"no name matches: {uris}")


class Pipe:
    """One end of a TLS connection, over buffers."""

    def __init__(self, context: ssl.SSLContext, *, server: bool) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server)

    def step(self) -> bool:
        """Goes on with the handshake as far as the input allows; tells whether it is complete."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True


def handshake(client: Peer, server: Peer, folder: Path) -> bytes:
    """Connects two peers; returns what the client reads when both accept each other. Raises ssl.SSLError otherwise."""
    caller = Pipe(client.context(ssl.PROTOCOL_TLS_CLIENT, folder), server=False)
    callee = Pipe(server.context(ssl.PROTOCOL_TLS_SERVER, folder), server=True)
    ready = False
    while not ready:
        ready = caller.step()
        callee.incoming.write(caller.outgoing.read())
        ready = callee.step() and ready
        caller.incoming.write(callee.outgoing.read())
    client.accepts(caller.tls.getpeercert())
    server.accepts(callee.tls.getpeercert())
    callee.tls.write(b"hello")
    caller.incoming.write(callee.outgoing.read())
    return caller.tls.read()


def peer_secret(name: str, bundle: str, spiffe_id: str) -> Secret:
    """Makes the secret by which a peer is accepted that a trusted root vouches for and that has exactly this id."""
    return _matching(name, bundle, {"exact": spiffe_id})


def trust_domain_secret(name: str, bundle: str, trust_domain: str) -> Secret:
    """Makes the secret by which every workload of a trust domain is accepted; access rules decide what it may call."""
    return _matching(name, bundle, {"prefix": f"{trust_domain_id(trust_domain)}/"})


def _matching(name: str, bundle: str, matcher: dict[str, str]) -> Secret:
    secret = roots_secret(name, bundle)
    secret["validation_context"]["match_typed_subject_alt_names"] = [{"san_type": "URI", "matcher": matcher}]
    return secret
