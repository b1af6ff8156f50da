"""The entry point of `souk`: until everything is loaded, Ctrl-C ends it without a traceback."""

import signal
import sys
from collections.abc import Callable


def main() -> None:
    """Runs the console script `souk`, and exits with its status."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a background job of a shell
        # Imports take a moment; a Ctrl-C in it would show a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        run = _loaded()
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        run = _loaded()
    sys.exit(run(sys.argv[1:]))


def _loaded() -> Callable[[list[str]], int]:
    from souk.telemetry.structlog_import import import_structlog

    import_structlog()  # before a command imports it
    from souk.cli.root import run

    return run
