"""Why a workload has no certificate, and why a root is not rotated."""

from souk.kernel.errors import SoukError


class CertificateRefused(SoukError):
    """An operator has refused this workload: it gets no certificate until it is admitted again."""


class CertificateUnavailable(SoukError):
    """The authority cannot sign now; the message says why. Certificates in use stay until they expire."""


class RotationRefused(SoukError):
    """A root rotation cannot begin, because one is under way; the message says how far it is."""
