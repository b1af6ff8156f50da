"""Runs the pods of manifests, in a network namespace that nothing else uses, and uses them through the gateway.

unshare --net python -m tests.kubernetes.fleet (order | journeys) IMAGE FOLDER < MANIFESTS

`order` places one; `journeys` loads demo data and runs tests/journeys. IMAGE is the image as `umoci unpack` lays it
out, FOLDER an empty one. Prints what it saw, one line each.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from souk.backing.postgres.binaries import find_binaries
from souk.testing.engines import PATIENCE, engine_path
from souk.testing.postgres import TemporaryPostgres
from souk.testing.system import until
from tests.kubernetes.fleet.journeys import SETTINGS, load_demo_data, run_journeys
from tests.kubernetes.fleet.kubelet import DATABASE, Machine
from tests.kubernetes.fleet.machine import HOST, PREFIX, Container, make_bridge
from tests.kubernetes.fleet.pod import NAMESPACE
from tests.market.shop import Shop

GATEWAY = "gateway"
ADMIN = ("admin@souk.test", "admin-password")


@contextmanager
def name_server(machine: Machine, folder: Path) -> Iterator[None]:
    """Answers as a cluster's DNS does for headless Services with the port `grpc`."""
    records = ["--local=/cluster.local/"]
    for name in set(machine.deployments) - {GATEWAY}:
        full = f"{name}-service.{NAMESPACE}.svc.cluster.local"
        records += [f"--host-record={full},{machine.address(name)}", f"--srv-host=_grpc._tcp.{full},{full},50051"]
    command = (engine_path("dnsmasq"), "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root")
    options = (f"--listen-address={HOST}", "--bind-interfaces", f"--pid-file={folder / 'dns.pid'}", *records)
    with subprocess.Popen((*command, *options)) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def databases(passwords: Mapping[str, str]) -> Iterator[str]:
    """Runs PostgreSQL at its port, with an empty database and a role for each service.

    Yields the URL of a database for who may read all of it, with `{service}` for the service's name.
    """
    binaries = find_binaries()
    assert binaries is not None
    server = TemporaryPostgres(binaries, listen_addresses=HOST, port=str(DATABASE))
    try:
        server.start()
        rules = f"local all postgres trust\nhost all all {PREFIX}.0/24 scram-sha-256\n"
        (server.socket_directory / "pg_hba.conf").write_text(rules)
        server.stop()
        server.start()
        for name, password in passwords.items():
            asyncio.run(server.create_service_database(name, password))
        yield server.url("{service}")
    finally:
        server.remove()


def migrate(machine: Machine) -> None:
    """Migrates as a cluster does: pods wait for their schema, and Jobs make it."""
    waiting = {name: machine.begin_schema(name) for name in machine.migrated}
    for name, container in waiting.items():
        assert container.status() == "running", container.log()
        job = machine.begin_job(name)
        job.await_end()
        container.await_end()
    print(f"{len(waiting)} databases migrated, {len(waiting)} pods waited for it", flush=True)


def serve(machine: Machine) -> dict[str, Container]:
    """Starts the pods' own containers, and waits until they are ready."""
    serving = {name: machine.begin(name) for name in machine.deployments}
    for name, container in serving.items():
        machine.await_ready(name, container)
    print(f"{len(serving)} pods ready", flush=True)
    return serving


def buy(machine: Machine, serving: Mapping[str, Container]) -> None:
    """Makes an admin, a product and a buyer, and places an order."""
    print(serving["user"].run("souk", "admin", "create", ADMIN[0], given=f"{ADMIN[1]}\n").strip(), flush=True)
    data = machine.files["notification"].volume("data") / "data"
    shop = Shop("containers", f"http://{machine.address(GATEWAY)}:8080", data)
    product = shop.product(price=1_200, stock=10)
    buyer = shop.buyer()
    order = buyer.buy((product, 2, 1_200))
    assert shop.stock(product) == 8
    [payment] = buyer.payments(order["id"])
    until(lambda: shop.mailbox.about(order["id"]), PATIENCE, "a mail about the order")
    print(f"order {order['status']}, payment {payment['status']}, and a mail", flush=True)
    shop.close()


def main() -> None:
    """Runs the command line."""
    what, (image, folder) = sys.argv[1], map(Path, sys.argv[2:])
    with_journeys = what == "journeys"
    manifests = [one for one in yaml.safe_load_all(sys.stdin) if one]
    make_bridge()
    with ExitStack() as stack:
        machine = Machine(image, folder, manifests, stack, SETTINGS if with_journeys else {})
        server = stack.enter_context(databases(machine.passwords))
        stack.enter_context(name_server(machine, folder))
        migrate(machine)
        if with_journeys:
            load_demo_data(machine)
        serving = serve(machine)
        if with_journeys:
            run_journeys(machine, serving, f"http://{machine.address(GATEWAY)}:8080", server, folder / "system")
        else:
            buy(machine, serving)
        for container in serving.values():
            container.end()
        print(f"{len(serving)} pods ended when they were asked to", flush=True)


if __name__ == "__main__":
    main()
