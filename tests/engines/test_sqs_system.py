"""A whole system whose events go through SQS: every order has its mail, over an end of the broker, too."""

import subprocess
import sys
from email import message_from_bytes
from pathlib import Path

import pytest

from souk.testing.servers.elasticmq import ElasticMqServer
from souk.testing.system import System, embedded, until

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("sqs broker")]
LIMIT = 90.0


def order(system: System) -> None:
    command = (sys.executable, "-m", "souk.cli", "order", "--url", system.url)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def mails(system: System) -> set[str]:
    """The Message-IDs of the mails in the mailbox."""
    files = (system.data / "notification" / "mailbox").glob("*.eml")
    return {str(message_from_bytes(file.read_bytes())["Message-ID"]) for file in files}


async def test_every_mail_comes_although_the_broker_is_killed(tmp_path: Path) -> None:
    with ElasticMqServer(tmp_path / "elasticmq") as server:
        await server.start()
        broker = server.url.replace("http:", "sqs:")
        with embedded(tmp_path, settings={"SOUK_BROKER": broker}) as system:
            order(system)
            until(lambda: len(mails(system)) == 1, LIMIT, "the first mail")
            server.kill()
            order(system)
            assert len(mails(system)) == 1
            await server.start()
            order(system)
            until(lambda: len(mails(system)) == 3, LIMIT, "every mail")
            system.stop()
