"""Where `souk` begins: before anything is loaded, Ctrl-C must end it without a word."""

import signal
import sys


def main() -> None:
    """The console script."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a background job of a shell
        # Loading everything takes a moment, in which Python would show where it was.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from souk.cli.root import run

        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        from souk.cli.root import run
    sys.exit(run(sys.argv[1:]))
