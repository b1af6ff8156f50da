"""Opens the search engine that a URL names."""

import importlib
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


def open_engine(url: str, synonyms: tuple[str, ...] = ()) -> Engine:
    """Opens the engine at `opensearch://user:password@host:port`, or another of ENGINES, without connecting yet.

    `?index=NAME` is the name of the index, by default souk-products. `?analysis=plain` is for an engine without its
    module analysis-common: words are not stemmed, and there are no synonyms. Raises ConfigurationError.
    """
    parts = urlsplit(url)
    if parts.scheme not in ENGINES or not parts.hostname:
        raise ConfigurationError("SOUK_SEARCH must read opensearch://host:port or elasticsearch://host:port")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if unknown := options.keys() - {"index", "analysis"} or (options.get("analysis", "plain") != "plain"):
        raise ConfigurationError(f"SOUK_SEARCH: the options are index=NAME and analysis=plain, not {unknown}")
    module, protocol = ENGINES[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    transport = _transport(module, f"{protocol}://{host}:{parts.port or _PORT}", login)
    analysis = Analysis(synonyms, is_plain="analysis" in options)
    return Engine(transport, options.get("index", "souk-products"), analysis)


def _transport(module: str, url: str, login: tuple[str, str] | None) -> EngineTransport:
    try:
        found = importlib.import_module(f"marketplace.product.adapters.search.{module}")
    except ImportError as error:
        raise ConfigurationError(
            f"SOUK_SEARCH: the client of {module} is not installed; docs/search.md says how to install it"
        ) from error
    opened: EngineTransport = found.open_transport(url, login)
    return opened
