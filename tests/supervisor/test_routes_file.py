"""A fleet with a routes file: every gateway reads it, and reads it again."""

import json
import os
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from souk.testing.processes import run_now
from souk.testing.system import fleet, until

PATIENCE = 120
pytestmark = [pytest.mark.full, pytest.mark.xdist_group("routes file")]


class Here(BaseHTTPRequestHandler):
    """Answers every GET."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Logs nothing."""


def loads(data: Path, why: str) -> list[str]:
    """Gives the gateways whose logs say that they have loaded the file for this reason."""
    logs = {log.name: log.read_text() for log in (data / "logs").glob("gateway-*.log")}
    lines = [(name, json.loads(line)) for name, text in logs.items() for line in text.splitlines() if line[:1] == "{"]
    return [name for name, line in lines if line["event"] == "routes file loaded" and line["why"] == why]


def test_every_gateway_of_a_fleet_reads_the_file_again(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / "routes.yaml"
    path.write_text(f"routes: {{/old: 'http://127.0.0.1:{server.server_port}'}}\n")
    given = ("--routes", str(path), "--scale", "gateway=2")
    with fleet(tmp_path, arguments=given) as system, httpx.Client(base_url=system.url, timeout=PATIENCE) as client:
        assert client.get("/old").status_code == 200

        path.write_text("routes: {/old: nowhere}\n")
        ended = run_now("gateway", "reload", "--data", str(system.data))
        assert ended.status == 1
        assert "there is no upstream 'nowhere'" in ended.err
        assert [line for line in ended.err.splitlines() if "keeps the routes" in line] == [
            f"souk: gateway-{number} keeps the routes that it had" for number in (1, 2)
        ]
        assert client.get("/old").status_code == 200

        path.write_text(f"routes: {{/new: 'http://127.0.0.1:{server.server_port}'}}\n")
        ended = run_now("gateway", "reload", "--data", str(system.data))
        assert (ended.status, ended.out.splitlines()) == (
            0,
            [f"gateway-{number}: 1 rules of {path}" for number in (1, 2)],
        )
        assert [httpx.get(system.url + one).status_code for one in ("/new", "/old")] == [200, 404]

        asked = len(loads(system.data, "an operator asks for it"))
        system.part("up").send(signal.SIGHUP)
        until(lambda: len(loads(system.data, "an operator asks for it")) == asked + 2, PATIENCE, "both read it again")
        assert system.dead() == []
    server.shutdown()
    server.server_close()


def test_a_system_does_not_start_with_a_wrong_file_and_says_the_line(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("routes:\n  /a: http://127.0.0.1:1\n  /b: {too: x}\n  /c: nowhere\n")
    for topology in ("monolith", "fleet"):
        data = tmp_path / topology
        ended = run_now("up", "--topology", topology, "--port", "0", "--data", str(data), "--routes", str(path))
        lines = ended.err.splitlines()[-2:]
        assert (ended.status, ended.out) == (1, "")
        assert lines[0].startswith(f"souk: {path}:3:8: a rule has no field 'too'; it has ")
        assert lines[1].startswith(f"{path}:4:7: there is no upstream 'nowhere'")


def test_a_gateway_that_dies_while_the_file_is_wrong_comes_back_once_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text("routes: {/a: 'http://127.0.0.1:1'}\n")
    with fleet(tmp_path, arguments=("--routes", str(path))) as system:

        def gateway() -> dict[str, Any]:
            listed = json.loads(run_now("ps", "--json", "--data", str(system.data)).out)
            return next(one for one in listed if one["kind"] == "gateway")

        path.write_text("routes: {/a: nowhere}\n")
        ended = run_now("restart", "gateway", "--data", str(system.data))
        assert (ended.status, f"{path}:1:14: there is no upstream 'nowhere'" in ended.err) == (1, True), ended.err
        assert httpx.get(f"{system.url}/healthz", timeout=PATIENCE).status_code == 200, "the old one goes on"

        before = gateway()
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: "there is no upstream" in gateway()["why"], PATIENCE, "souk ps says why it does not start")
        assert f"{path}:1:14: " in gateway()["why"]

        path.write_text("routes: {/a: 'http://127.0.0.1:1'}\n")
        until(lambda: gateway()["state"] == "ready", PATIENCE, "it starts by itself")
        assert httpx.get(f"{system.url}/healthz", timeout=PATIENCE).status_code == 200
