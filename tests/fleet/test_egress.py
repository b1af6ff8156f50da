"""A fleet in network namespaces whose bank, mail server and collector are outside: each process reaches what its
settings name, and nothing else."""

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from marketplace.payment.adapters.sandbox_server import KEY_FILE
from souk.kernel.addresses import LOOPBACK
from souk.supervisor.isolation.rules import SIDECAR_PORT
from souk.testing.certificates import Authority
from souk.testing.free_ports import free_port
from souk.testing.otlp_receiver import OtlpReceiver, otlp_receiver
from souk.testing.system import until
from tests.fleet.conftest import PRICE, REST, Bazaar, opened_bazaar
from tests.fleet.namespaces import connects_to, enters, in_a_thread, may_make_namespaces
from tests.market.books import Books
from tests.market.invariants import await_rest, violations
from tests.marketplace.notification.mail_server import MailServer

pytestmark = [
    pytest.mark.full,
    pytest.mark.xdist_group("a fleet with a way out"),
    pytest.mark.skipif(not may_make_namespaces(), reason="this user may not make network namespaces"),
]
PATIENCE = 120.0


@dataclass
class Outside:
    """A fleet, and what it uses outside."""

    bazaar: Bazaar
    bank: int
    mails: MailServer
    receiver: OtlpReceiver

    @property
    def collector(self) -> int:
        """The port of the collector."""
        return urlsplit(self.receiver.grpc_url).port or 0


def port_apart() -> int:
    """Gives a free port that nobody gets inside, where ports are given out anew."""
    return next(port for port in iter(free_port, None) if port != SIDECAR_PORT)


@contextmanager
def sandbox_bank(book: Path) -> Iterator[int]:
    """Runs the demo's bank; gives its port."""
    port = port_apart()
    module = "marketplace.payment.adapters.sandbox_server"
    command = (sys.executable, "-m", module, "--book", str(book), "--port", str(port))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield port
        finally:
            process.terminate()


@contextmanager
def mail_server(folder: Path) -> Iterator[MailServer]:
    """Runs a mail server that speaks TLS from the first byte, with a certificate of an authority in the folder."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*Authority(folder).issue("mail.example"))
    server, loop = MailServer(tls=context, wrapped=True, port=port_apart()), asyncio.new_event_loop()
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A fleet with a mesh, and the three beside it; in the end its data must be consistent, and it must stop well."""
    folder = tmp_path_factory.mktemp("outside")
    with sandbox_bank(folder / "bank") as bank, mail_server(folder) as mails, otlp_receiver() as receiver:
        settings = {
            "SOUK_PAYMENT_PROVIDER_URL": f"http://{LOOPBACK}:{bank}",
            "SOUK_PAYMENT_PROVIDER_KEY_FILE": str(folder / "bank" / KEY_FILE),
            "SOUK_NOTIFICATION_SMTP": f"smtps://localhost:{mails.port}",
            "SOUK_NOTIFICATION_SMTP_CA": str(folder / "ca.pem"),
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_url,
        }
        with opened_bazaar(tmp_path_factory.mktemp("fleet"), "--mesh", settings=settings) as bazaar:
            bazaar.prepare()
            yield Outside(bazaar, bank, mails, receiver)
            books = Books(bazaar.system.data, bank=folder / "bank")
            await_rest(books, REST)
            assert violations(books, letters=False) == [], bazaar.system.output()
            assert set(bazaar.system.stop()) == {0}, bazaar.system.output()


def test_an_order_is_paid_and_mailed_by_isolated_processes(outside: Outside) -> None:
    processes = {one["instance"]: one for one in outside.bazaar.operator.ps() if one["kind"] in ("service", "gateway")}
    assert {one["isolation"] for one in processes.values()} == {"network namespace"}
    collector, bank = f"127.0.0.1:{outside.collector}", f"127.0.0.1:{outside.bank}"
    assert processes["order-1"]["egress"] == [collector]
    assert sorted(processes["payment-1"]["egress"]) == sorted([collector, bank])
    buyer = outside.bazaar.accounts[0]
    order = buyer.buy((outside.bazaar.product, 1, PRICE))
    assert [payment["status"] for payment in buyer.payments(order["id"])] == ["CAPTURED"]
    until(lambda: mails_about(outside, order["id"], buyer.email), PATIENCE, "its mail arrives")


def mails_about(outside: Outside, order: str, email: str) -> list[str]:
    mails = [mail for mail in tuple(outside.mails.mails) if order in mail.as_string()]
    return [str(mail["To"]) for mail in mails if email in str(mail["To"])]


def test_processes_and_sidecars_send_their_spans(outside: Outside) -> None:
    outside.bazaar.accounts[0].buy((outside.bazaar.product, 1, PRICE))
    expected = {"gateway", "order", "payment", "payment-sidecar", "notification"}
    outside.receiver.wait(lambda spans: expected <= {one.service for one in spans}, PATIENCE)


def test_nothing_else_is_reached_from_inside(outside: Outside) -> None:
    bank, mail, collector = outside.bank, outside.mails.port, outside.collector
    declared: dict[str, set[int]] = {
        "payment-1": {bank},
        "notification-1": {mail},
        "order-1": set(),
        "gateway-1": set(),
    }
    with socket.create_server((LOOPBACK, port_apart())) as other:
        everything = {bank, mail, collector, other.getsockname()[1]}
        assert all(map(connects_to, everything)), "they are reached from outside"
        for name, own in declared.items():
            inside = partial(enters, outside.bazaar.operator.pid(name))
            found = {port for port in everything if in_a_thread(inside, partial(connects_to, port))}
            assert found == {collector, *own}, name


def test_a_process_that_was_killed_has_its_way_out_again(outside: Outside) -> None:
    operator = outside.bazaar.operator
    killed = operator.kill("payment-1")
    until(lambda: operator.process("payment-1")["pid"] not in (killed, None), PATIENCE, "another one is started")
    operator.await_ready()
    outside.bazaar.accounts[0].buy((outside.bazaar.product, 1, PRICE))
