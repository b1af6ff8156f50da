"""Canaries of Payment in a fleet: begins them, waits for their ends, and has buyers call meanwhile."""

import json
import shlex
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from souk.testing.system import until
from tests.fleet.conftest import Bazaar
from tests.market.api import new_key
from tests.market.operator import LIMIT

FLAWED = Path(__file__).parent / "flawed_version.py"
READERS = 3
ENDED = ("promoted", "rolled back", "failed")
WALLET = "/api/v1/wallet"
Send = Callable[[httpx.Client], httpx.Response]


def read_wallet(client: httpx.Client) -> httpx.Response:
    """Reads the wallet of a buyer."""
    return client.get(WALLET)


def top_up_by_a_declined_card(client: httpx.Client) -> httpx.Response:
    """Has the bank decline a card."""
    body = {"amount": 100, "currency": "EUR", "cardToken": "tok_declined", "idempotencyKey": new_key()}
    return client.post(f"{WALLET}:topUp", json=body)


@contextmanager
def buyers(bazaar: Bazaar, send: Send = read_wallet) -> Iterator[Counter[int]]:
    """Has buyers send requests inside the block, as fast as they are answered; counts answers by status."""
    answers: Counter[int] = Counter()
    over = threading.Event()

    def go_on(number: int) -> None:
        headers = dict(bazaar.accounts[number].headers)
        with httpx.Client(base_url=bazaar.system.url, headers=headers, timeout=30.0) as client:
            while not over.is_set():
                answers[send(client).status_code] += 1

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(READERS)]
    for one in threads:
        one.start()
    try:
        yield answers
    finally:
        over.set()
        for one in threads:
            one.join()


def flawed(**flaws: float) -> str:
    """Gives the command of a version of Payment with flaws, of flawed_version.py."""
    words = [f"{name}={value}" for name, value in flaws.items()]
    return shlex.join([sys.executable, str(FLAWED), *words, "serve", "payment"])


def begin(bazaar: Bazaar, version: str, *options: str, run: str = "", every: str = "4s", steps: str = "20,50") -> None:
    """Begins a canary; without `run` it is a version without a flaw."""
    how = ("--run", run or flawed(), "--steps", steps, "--every", every)
    bazaar.operator.souk("canary", "start", "payment", "--version", version, *how, *options)


def abort(bazaar: Bazaar) -> None:
    """Ends a canary as an operator."""
    bazaar.operator.souk("canary", "abort", "payment", "--why", "enough")


def status(bazaar: Bazaar) -> dict[str, Any]:
    """Gives the canary of Payment."""
    (found,) = json.loads(bazaar.operator.souk("canary", "status", "payment", "--json"))
    document: dict[str, Any] = found
    return document


def state(bazaar: Bazaar) -> str:
    """Gives the state of the canary; empty while the control plane does not answer."""
    try:
        return str(status(bazaar)["state"])
    except AssertionError:
        return ""


def await_state(bazaar: Bazaar, *wanted: str) -> None:
    """Waits until the canary is in one of these states."""
    until(lambda: state(bazaar) in wanted, LIMIT, f"a canary that is {' or '.join(wanted)}")


def calls(bazaar: Bazaar) -> int:
    """Counts the calls that the canary has had in its step; 0 while the control plane does not answer."""
    return int(status(bazaar)["figures"]["canary"].get("calls", 0)) if state(bazaar) else 0


def ended(bazaar: Bazaar) -> dict[str, Any]:
    """Waits for the end of the canary, and gives it."""
    await_state(bazaar, *ENDED)
    print(bazaar.operator.souk("canary", "status", "payment"))
    return status(bazaar)


def events(canary: dict[str, Any]) -> list[str]:
    """Gives the decisions on a canary, but for the repeated one that it holds."""
    return [one["event"] for one in canary["decisions"] if one["event"] != "held"]


def versions(bazaar: Bazaar) -> set[str]:
    """Gives the versions of the processes of Payment."""
    return {one["version"] for one in bazaar.operator.ps() if one["service"] == "payment" and one["kind"] == "service"}


def pid_of_control_plane(bazaar: Bazaar) -> int:
    """Gives the process id of a control plane that is ready; 0 while there is none."""
    mesh = bazaar.operator.process("mesh")
    return int(mesh["pid"] or 0) if mesh["state"] == "ready" else 0
