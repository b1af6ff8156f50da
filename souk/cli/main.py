"""The entry point of `souk`: until everything is loaded, Ctrl-C ends it without a traceback."""

import signal
import sys


def main() -> None:
    """Runs the console script `souk`, and exits with its status."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a background job of a shell
        # Imports take a moment; a Ctrl-C in it would show a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from souk.cli.root import run

        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        from souk.cli.root import run
    sys.exit(run(sys.argv[1:]))
