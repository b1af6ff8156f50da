"""A process that serves holds no rich."""

import subprocess
import sys

_PROGRAM = """
import sys
from souk.cli import main
main._loaded()
import souk.cli.commands.process.serve, structlog
assert not {"rich", "pygments"} & sys.modules.keys(), "rich was imported"
from rich.console import Console
"""


def test_rich_is_not_imported_by_structlog_and_can_be_imported_afterwards() -> None:
    done = subprocess.run((sys.executable, "-c", _PROGRAM), check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
