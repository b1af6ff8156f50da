"""Callers by the certificates of their connections (mutual TLS): machines that the settings name.

What of a certificate names a caller is said as in RFC 8705 (section 2.1.2): the subject, or a subject alternative name
that is a URI (as SPIFFE has it) or a DNS name. That the certificate is good was checked when the connection was made.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cachetools import LRUCache
from cryptography import x509

from souk.gateway.auth.claims import NAMESPACE_SEPARATOR, Identified
from souk.gateway.auth.same_origin import SAFE, BrowserRequest, require_same_origin
from souk.gateway.http.problem import Problem, unauthenticated
from souk.gateway.settings import GATEWAY_SERVICE, CertificateCaller
from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.context import Caller

OF_CERTIFICATES = "certificate"
"""The namespace of subjects that no user has: certificate|NAME."""
_REMEMBERED = 1_000
_WHY = "client certificate"

Named = tuple[str, str]
"""What names a caller: a member of CertificateCaller, and its value in one form."""


@dataclass(frozen=True, slots=True)
class _Read:
    callers: tuple[Identified, ...]
    expires: float


class ClientCertificates:
    """Turns verified certificates into callers, who may call what their scopes name."""

    def __init__(self, callers: Iterable[CertificateCaller], clock: Clock) -> None:
        self._clock = clock
        self.use(callers)

    def use(self, callers: Iterable[CertificateCaller]) -> None:
        """Puts these callers into force for the requests that begin from now on, also on connections that are open.

        Raises ValueError for a wrong subject.
        """
        self._callers: Mapping[Named, Identified] = MappingProxyType({named(one): _identified(one) for one in callers})
        self._known: LRUCache[str, _Read] = LRUCache(_REMEMBERED)

    def identified(self, request: BrowserRequest) -> Identified | None:
        """Returns the caller that a request's certificate names; None if it came with none.

        Raises Problem 401 for one that names nobody, or several, or has expired since its connection was made, and
        403 for a browser that another site made send it.
        """
        subject, pem = request.certificate
        if not pem:
            return None
        read = self._known.get(pem)
        if read is None:
            read = self._known[pem] = self._read(pem)
        if read.expires <= self._clock.now() / MICROSECONDS:
            raise _refused("the client certificate has expired", subject)
        if not read.callers:
            raise _refused("the client certificate names no caller", subject)
        if len(read.callers) > 1:
            raise _refused("the client certificate names several callers", subject)
        if request.method not in SAFE and (request.header(b"origin") or request.header(b"sec-fetch-site")):
            require_same_origin(request)  # a browser adds certificates by itself, as it does cookies
        return read.callers[0]

    def _read(self, pem: str) -> _Read:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        found = {id(one): one for name in _names(certificate) if (one := self._callers.get(name)) is not None}
        return _Read(tuple(found.values()), certificate.not_valid_after_utc.timestamp())


def named(caller: CertificateCaller) -> Named:
    """Returns what names a caller, in the form in which it is compared. Raises ValueError for a wrong subject."""
    if caller.subject_dn:
        return "subject_dn", _subject(x509.Name.from_rfc4514_string(caller.subject_dn))
    return ("san_uri", caller.san_uri) if caller.san_uri else ("san_dns", caller.san_dns.lower())


def _names(certificate: x509.Certificate) -> Iterator[Named]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        pass
    else:
        yield from (("san_uri", uri) for uri in names.get_values_for_type(x509.UniformResourceIdentifier))
        yield from (("san_dns", name.lower()) for name in names.get_values_for_type(x509.DNSName))
    yield "subject_dn", _subject(certificate.subject)


def _subject(name: x509.Name) -> str:
    return name.rfc4514_string()


def _identified(one: CertificateCaller) -> Identified:
    subject = one.user or f"{OF_CERTIFICATES}{NAMESPACE_SEPARATOR}{one.name}"
    caller = Caller(subject, frozenset(), frozenset(one.scopes), GATEWAY_SERVICE)
    return Identified(caller, asked_roles=bool(one.user), scoped=True)


def _refused(detail: str, subject: str) -> Problem:
    problem = unauthenticated(detail, why=_WHY)
    problem.who = f"certificate {subject}"
    return problem
