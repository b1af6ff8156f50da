"""The certificate authority of a fleet: it keeps a root and an intermediate, and issues certificates of minutes.

Call `advance` every few seconds, and serve `bundle` to every peer. All methods wait for the disk: call them in a
thread, or in several. Several processes may use one data directory: each change is made on what is on the disk.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock

from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.errors import ConfigurationError, SoukError
from souk.mesh.identity.certificates import KeyPair, make_leaf
from souk.mesh.identity.errors import CertificateRefused, CertificateUnavailable, RotationRefused
from souk.mesh.identity.lifetimes import Lifetimes
from souk.mesh.identity.record import AuthorityRecord
from souk.mesh.identity.refusals import (
    INSTANCE,
    SERVICE,
    DeniedNames,
    WorkloadRefusal,
    denied_names,
    key_of,
    refusal_of,
)
from souk.mesh.identity.rotation import (
    CertificateSpan,
    RootStage,
    RotationState,
    RotationStep,
    distrusted_at,
    leaf_span,
    next_step,
)
from souk.mesh.identity.spiffe import (
    TRUST_DOMAIN,
    Workload,
    checked_name,
    checked_trust_domain,
    instance_name,
    service_id,
)
from souk.mesh.identity.steps import carried_out, first_record
from souk.mesh.identity.store import AuthorityStore

_FEWEST_CALLS = 4
"""As often at least is `advance` called within the delay, or the time does not count as served."""
_MOST_STEPS = 8
"""Steps in a row; a state that wanted more would be a mistake in the code."""


@dataclass(frozen=True, slots=True)
class WorkloadCertificate:
    """A certificate of a workload: `chain` (the leaf, then the intermediate) and `key` are PEM; `root` signed it."""

    workload: Workload
    spiffe_id: str
    span: CertificateSpan
    root: str
    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Served:
    """For how many `seconds` this process has served some roots, by their ids, when it was last asked, at `at`."""

    roots: tuple[str, ...]
    at: float
    seconds: float


class CertificateAuthority:
    """The authority on a data directory, made at its first start.

    Raises ConfigurationError when its file cannot be read or written, or is of another trust domain.
    """

    def __init__(
        self, store: AuthorityStore, lifetimes: Lifetimes, clock: Clock, trust_domain: str = TRUST_DOMAIN
    ) -> None:
        self.trust_domain = checked_trust_domain(trust_domain)
        self.lifetimes = lifetimes
        self._store, self._clock = store, clock
        self._served = _Served((), 0.0, 0.0)
        self._changing = Lock()
        self._record = store.update(self._opened)

    def now(self) -> int:
        """Gives the date, in seconds since 1970."""
        return self._clock.now() // MICROSECONDS

    @property
    def rotation(self) -> RotationState:
        """How far the rotation is, as of the last change or `advance`."""
        return self._record.rotation

    @property
    def bundle(self) -> str:
        """The roots that every peer is to trust, as PEM."""
        return self._record.bundle

    @property
    def refusals(self) -> tuple[WorkloadRefusal, ...]:
        """Whom operators have refused."""
        return tuple(self._record.refused.values())

    @property
    def denied(self) -> DeniedNames:
        """What access rules are to deny."""
        return denied_names(self._record.refused, self.trust_domain)

    def refusal_of(self, workload: Workload) -> WorkloadRefusal | None:
        """Finds why a workload is refused."""
        return refusal_of(self._record.refused, workload)

    def advance(self) -> None:
        """Renews the intermediate and goes on with the rotation of the root, as far as this moment allows.

        Raises ConfigurationError when that cannot be written; everything stays as it was then, and the next call tries
        again.
        """
        self._change(self._advanced)

    def rotate_root(self) -> None:
        """Begins a rotation of the root; `advance` goes on with it.

        Raises RotationRefused while another one is under way, and ConfigurationError when it cannot be written.
        """
        self._change(self._rotated)

    def refuse(self, kind: str, name: str, reason: str) -> None:
        """Refuses a service or an instance from now on, until it is admitted. Refusing again changes nothing.

        Raises ConfigurationError for a kind that is neither, and when it cannot be written.
        """
        if kind not in {SERVICE, INSTANCE}:
            raise ConfigurationError(f"a {kind} cannot be refused: name a service or an instance")
        refusal = WorkloadRefusal(kind, checked_name(name), self.now(), reason)

        def changed(record: AuthorityRecord | None) -> AuthorityRecord:
            found = self._existing(record)
            return replace(found, refused={key_of(kind, name): refusal, **found.refused})

        self._change(changed)

    def admit(self, kind: str, name: str) -> None:
        """Ends a refusal, if there is one."""

        def changed(record: AuthorityRecord | None) -> AuthorityRecord:
            found = self._existing(record)
            return replace(
                found, refused={key: each for key, each in found.refused.items() if key != key_of(kind, name)}
            )

        self._change(changed)

    def issue(self, workload: Workload) -> WorkloadCertificate:
        """Issues a certificate, with a new key.

        Raises CertificateRefused for a refused workload, and CertificateUnavailable while no signing certificate is
        valid at the present date.
        """
        record, now = self._current(), self.now()
        if (refusal := refusal_of(record.refused, workload)) is not None:
            raise CertificateRefused(f"the {refusal.kind} {refusal.name} is refused: {refusal.reason}")
        span = leaf_span(record.rotation, now, self.lifetimes)
        if span is None:
            raise CertificateUnavailable(
                f"no signing certificate is valid at {_utc(now)}; see whether the clock is right and "
                "the data directory can be written"
            )
        identity = service_id(self.trust_domain, workload.service)
        intermediate = record.pairs[record.rotation.intermediate.id]
        leaf = make_leaf(identity, instance_name(self.trust_domain, workload.instance), span, intermediate)
        return _issued(workload, identity, span, record.rotation.signing.id, leaf, intermediate)

    def _change(self, change: Callable[[AuthorityRecord | None], AuthorityRecord]) -> None:
        with self._changing:  # or a thread could keep what another has changed since
            self._record = self._store.update(change)

    def _current(self) -> AuthorityRecord:
        """Reads what is on the disk, since another process may have changed it; what was last read, if it cannot."""
        with self._changing, suppress(SoukError):  # `advance` fails, too, and says so
            self._record = self._store.read() or self._record
        return self._record

    def _opened(self, record: AuthorityRecord | None) -> AuthorityRecord:
        if record is None:
            return first_record(self.trust_domain, self.now(), self.lifetimes)
        if record.trust_domain != self.trust_domain:
            raise ConfigurationError(
                f"the authority of this data directory is of the trust domain {record.trust_domain}, not "
                f"{self.trust_domain}; set the former, or choose another data directory"
            )
        return record

    def _existing(self, record: AuthorityRecord | None) -> AuthorityRecord:
        """Refuses to make a second authority in a running system, whose peers trust the first."""
        if record is None:
            raise ConfigurationError(
                "the authority's file has gone; bring it back from a backup, or restart the system"
            )
        return record

    def _advanced(self, record: AuthorityRecord | None) -> AuthorityRecord:
        found = self._existing(record)
        for _ in range(_MOST_STEPS):
            now = self.now()
            step = next_step(found.rotation, now, self._served_for(found.rotation), self.lifetimes)
            if step is None:
                break
            found = carried_out(found, step, now, self.lifetimes)
        return found

    def _rotated(self, record: AuthorityRecord | None) -> AuthorityRecord:
        found = self._existing(record)
        state = found.rotation
        if state.stage is not RootStage.STEADY:
            raise RotationRefused(
                f"a rotation is under way: {progress(state, self.lifetimes)}; wait until it has ended"
            )
        return carried_out(found, RotationStep.INTRODUCE, self.now(), self.lifetimes)

    def _served_for(self, state: RotationState) -> float:
        """Gives for how long this process has served these roots, in seconds; time in which it was stopped counts
        little."""
        roots, now, before = tuple(root.id for root in state.trusted), self._clock.monotonic(), self._served
        seconds = 0.0
        if before.roots == roots:
            seconds = before.seconds + min(now - before.at, self.lifetimes.delay / _FEWEST_CALLS)
        self._served = _Served(roots, now, seconds)
        return seconds


def progress(state: RotationState, lifetimes: Lifetimes) -> str:
    """Says how far a rotation is, for operators."""
    match state.stage:
        case RootStage.STEADY:
            return "one root is trusted"
        case RootStage.INTRODUCED:
            return f"the next root is trusted, and signs when it has been served for {lifetimes.delay} seconds"
        case RootStage.OVERLAP:
            until = _utc(distrusted_at(state, lifetimes) or 0)
            return f"the next root signs, and the former one is trusted until {until}"


def _utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _issued(
    workload: Workload, identity: str, span: CertificateSpan, root: str, leaf: KeyPair, intermediate: KeyPair
) -> WorkloadCertificate:
    return WorkloadCertificate(workload, identity, span, root, leaf.pem + intermediate.pem, leaf.key_pem)
