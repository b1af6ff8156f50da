"""Imports structlog without rich.

structlog imports rich, and with it pygments, for tracebacks in colour as soon as rich is installed. Souk prints plain
tracebacks. In a fleet each of some ten processes would hold 4 MB of modules that nobody uses.
"""

import sys
from importlib import import_module

_RICH = "rich"


def import_structlog() -> None:
    """Imports structlog without rich, unless one of them is imported already; rich can be imported afterwards."""
    if _RICH in sys.modules or "structlog" in sys.modules:
        return
    sys.modules[_RICH] = None  # type: ignore[assignment]  # so that its import fails, as when it is not installed
    try:
        import_module("structlog")
    finally:
        del sys.modules[_RICH]
