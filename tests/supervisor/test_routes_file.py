"""A fleet with a routes file: every gateway reads it, and reads it again."""

import json
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from souk.testing.processes import run_now
from souk.testing.system import fleet, until

PATIENCE = 120


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


@pytest.mark.full
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
