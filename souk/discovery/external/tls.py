"""The TLS context for connections to an external registry."""

import ssl

import httpx

from souk.discovery.external.url_options import UrlOptions
from souk.kernel.errors import ConfigurationError


def context_of(options: UrlOptions) -> ssl.SSLContext | bool:
    """Makes a context that checks the registry's certificate and shows the client's own, if given; False without TLS.

    The files are read once. Raises ConfigurationError for a file that cannot be used.
    """
    if not options.tls:
        return False
    context = _checking(options.ca)
    if options.cert:
        _show(context, options.cert, options.key)
    return context


def _checking(ca: str) -> ssl.SSLContext:
    if not ca:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigurationError(f"the registry's URL: ca, {ca}, cannot be used: {_reason(error)}") from error


def _show(context: ssl.SSLContext, cert: str, key: str) -> None:
    files = f"cert, {cert}, and key, {key}," if key else f"cert, {cert}, which has to hold its key as well,"
    try:
        # A key with a password is refused: OpenSSL would ask for it at the terminal.
        context.load_cert_chain(cert, key or None, password="")
    except OSError as error:
        raise ConfigurationError(f"the registry's URL: {files} cannot be used: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return "it is no PEM that fits" if isinstance(error, ssl.SSLError) else str(error.strerror)
