"""Opens the search engine that a URL names."""

import importlib
from ssl import SSLContext, create_default_context
from urllib.parse import parse_qs, unquote, urlsplit

from marketplace.product.adapters.search.engine import Engine
from marketplace.product.adapters.search.index import Analysis
from marketplace.product.adapters.search.transport import EngineTransport
from souk.sdk import ConfigurationError

ENGINES = {
    "opensearch": ("opensearch", "http"),
    "opensearchs": ("opensearch", "https"),
    "elasticsearch": ("elasticsearch", "http"),
    "elasticsearchs": ("elasticsearch", "https"),
}
"""The module and the protocol of each URL's scheme."""
_PORT = 9_200
_OPTIONS = frozenset({"index", "analysis", "ca"})
_OPTIONS_SHOWN = "index=NAME, analysis=plain and ca=FILE"


def open_engine(url: str, synonyms: tuple[str, ...] = ()) -> Engine:
    """Opens the engine at `opensearch://user:password@host:port`, or another of ENGINES, without connecting yet.

    `?index=NAME` is the name of the index, by default souk-products. `?analysis=plain` is for an engine without its
    module analysis-common: words are not stemmed, and there are no synonyms. With TLS the engine's certificate is
    checked against the system's authorities, or against `?ca=FILE` alone. Raises ConfigurationError.
    """
    parts = urlsplit(url)
    if parts.scheme not in ENGINES or not parts.hostname:
        raise ConfigurationError("SOUK_SEARCH must read opensearch://host:port or elasticsearch://host:port")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if options.keys() - _OPTIONS or options.get("analysis", "plain") != "plain":
        raise ConfigurationError(f"SOUK_SEARCH: the options are {_OPTIONS_SHOWN}, not {parts.query}")
    module, protocol = ENGINES[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    tls = _trusting(options.get("ca"), is_used=protocol == "https")
    transport = _transport(module, f"{protocol}://{host}:{parts.port or _PORT}", login, tls)
    analysis = Analysis(synonyms, is_plain="analysis" in options)
    return Engine(transport, options.get("index", "souk-products"), analysis)


def _trusting(ca: str | None, *, is_used: bool) -> SSLContext | None:
    """Makes what checks the engine's certificate; None without TLS."""
    if not is_used:
        if ca is not None:
            raise ConfigurationError("SOUK_SEARCH: ca=FILE is for opensearchs:// and elasticsearchs://, which use TLS")
        return None
    try:
        return create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigurationError(f"SOUK_SEARCH: ca={ca} cannot be read as certificates: {error}") from error


def _transport(module: str, url: str, login: tuple[str, str] | None, tls: SSLContext | None) -> EngineTransport:
    try:
        found = importlib.import_module(f"marketplace.product.adapters.search.{module}")
    except ImportError as error:
        raise ConfigurationError(
            f"SOUK_SEARCH: the client of {module} is not installed; docs/search.md says how to install it"
        ) from error
    opened: EngineTransport = found.open_transport(url, login, tls)
    return opened
