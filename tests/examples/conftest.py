"""The example's process among stand-ins: a registry, and a User service, in this process."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from shop.user.v1 import user_pb2 as user
from shop.user.v1.user_pb2_grpc import UserServiceServicer

from souk.discovery.embedded.server import EmbeddedRegistry, serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.kernel.context import NOBODY, Caller, current
from souk.kernel.errors import DomainError
from souk.rpc.caller_token import CALLER_KEY, CallerTokens
from souk.rpc.grpc.server import serve
from souk.rpc.server.dispatcher import Dispatcher
from tests.examples.node import installed

SECRET = "what nobody guesses, as in every test"
START = 30.0
DELIVER = "/soukapi.v1.EventSink/Deliver"
RENDER = "/shop.notification.v1.NotificationService/RenderMessage"


class FakeUser(UserServiceServicer):
    """Answers GetContact out of `contacts`, and remembers who asked, under which trace."""

    def __init__(self) -> None:
        self.contacts = {"U-1": user.Contact(email="mina@example.com", name='Mina "M." Sørensen')}
        self.asked: list[tuple[Caller, str]] = []

    async def GetContact(self, request: user.GetContactRequest, context: Any) -> user.Contact:
        self.asked.append((current().caller, current().traceparent))
        if request.user_id not in self.contacts:
            raise DomainError("USER_NOT_FOUND", "the user does not exist")
        return self.contacts[request.user_id]


@dataclass
class Stage:
    """What the process is started on; `user` is where User listens."""

    folder: Path
    user: str
    registry: EmbeddedRegistry
    users: FakeUser
    _started: list["Node"] = field(default_factory=list)

    async def start(self, **settings: str) -> "Node":
        """The process, once it takes calls and the registry knows it."""
        node = Node(self.folder, {"SOUK_REGISTRY": self.registry.url, **settings})
        self._started.append(node)
        await node.start()
        return node

    async def close(self) -> None:
        """Kills what still runs."""
        for node in self._started:
            await node.kill()


class Node:
    """One process of the example."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.data, self.address = folder / "data", ""
        self._log = folder / "log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
        told = {"SOUK_DATA": str(self.data), "SOUK_SECRET": SECRET, "SOUK_INSTANCE": "notification-7"}
        self._environment = {**kept, **told, **settings}
        self._process: asyncio.subprocess.Process | None = None
        self.tokens = CallerTokens(SECRET.encode(), "order", SystemClock())

    async def start(self) -> None:
        """Starts it; raises AssertionError, with its log, when it does not get ready."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "node",
                str(installed("notification-node") / "main.js"),
                env=self._environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(START):
            line = (await self._process.stdout.readline()).decode().strip()
        assert line.startswith("ready notification "), f"{line}\n{self._log.read_text()}"
        self.address = line.removeprefix("ready notification ")

    async def kill(self) -> None:
        """kill -9, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START):
            return await self._process.wait()

    def log(self) -> list[dict[str, Any]]:
        """Its log so far; every line of it is a JSON object."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A plain channel to it."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield channel

    def caller(self) -> tuple[tuple[str, str], ...]:
        """What says that Order delivers events."""
        return self.calling(DELIVER)

    def calling(self, method: str) -> tuple[tuple[str, str], ...]:
        """What says that Order calls a method."""
        return ((CALLER_KEY, self.tokens.sign(NOBODY, "notification", method)),)

    def letters(self) -> dict[str, bytes]:
        """The letters, by the ids of their events."""
        return {path.stem: path.read_bytes() for path in (self.data / "notification" / "mailbox").iterdir()}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    installed("notification-node")
    folder = Path(tempfile.mkdtemp(prefix="souk-node-"))  # pytest's own is too long for a socket
    clock = SystemClock()
    users = FakeUser()
    dispatcher = Dispatcher(CallerTokens(SECRET.encode(), "user", clock))
    dispatcher.add(users, user.DESCRIPTOR.services_by_name["UserService"])
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        registry = await stack.enter_async_context(serving_registry(folder / "registry.sock", clock))
        server = await serve(dispatcher)
        stack.push_async_callback(server.stop)
        client = await open_registry(registry.url, clock)
        stack.push_async_callback(client.close)
        await client.register(Instance("user", "user-1", server.address))
        stage = Stage(folder, server.address, registry, users)
        stack.push_async_callback(stage.close)
        yield stage
