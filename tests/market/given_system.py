"""A system that runs already, and what tests need to know of it beside its URL.

JOURNEYS_OF=FILE python -m pytest tests/journeys

FILE has the fields of GivenSystem as JSON. The system has demo data; whoever has started it ends it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.market.shop import PATIENCE, Shop

VARIABLE = "JOURNEYS_OF"
_SHOWN = 5_000


@dataclass(frozen=True)
class GivenSystem:
    """`data` is a folder with the mails of Notification in `notification/mailbox`; beside it, `logs` has a file of
    output for each process. `bank` is the book of the sandbox bank, and `server` the URL of a service's database, with
    `{service}` for its name, for who may read all of it. `other_address` is another address to connect from.
    """

    mode: str
    url: str
    data: Path
    bank: Path
    server: str
    other_address: str

    def shop(self) -> Shop:
        """Makes a client of it."""
        return Shop(self.mode, self.url, self.data, self.bank, self.server, self.other_address)

    def dead(self) -> list[str]:
        """Names the gateway if it is not ready; who started the others knows of them."""
        ready = httpx.get(f"{self.url}/readyz", timeout=PATIENCE).is_success
        return [] if ready else ["gateway"]

    def output(self) -> str:
        """Gives the end of what each process has written."""
        files = sorted((self.data.parent / "logs").iterdir())
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-_SHOWN:]}" for file in files)


def given_system() -> GivenSystem | None:
    """Reads the file that the environment names; None if it names none."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    found = json.loads(Path(named).read_text())
    return GivenSystem(**{**found, "data": Path(found["data"]), "bank": Path(found["bank"])})
