"""Runs the example's process with a registry and a fake of the User service, both in this process."""

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
START = 120.0
DELIVER = "/soukapi.v1.EventSink/Deliver"
RENDER = "/shop.notification.v1.NotificationService/RenderMessage"


class FakeUser(UserServiceServicer):
    """Answers GetContact from `contacts`, and records the callers and their traces."""

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
    """The surroundings of the example's process; `user` is the address of the User service."""

    folder: Path
    user: str
    registry: EmbeddedRegistry
    users: FakeUser
    _started: list["Node"] = field(default_factory=list)

    async def start(self, **settings: str) -> "Node":
        """Starts a process; returns it once it takes calls and is registered."""
        node = Node(self.folder, {"SOUK_REGISTRY": self.registry.url, **settings})
        self._started.append(node)
        await node.start()
        return node

    async def close(self) -> None:
        """Kills the processes that still run."""
        for node in self._started:
            await node.kill()


class Node:
    """A process of the example."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.data, self.address = folder / "data", ""
        self._log = folder / "log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
        told = {"SOUK_DATA": str(self.data), "SOUK_SECRET": SECRET, "SOUK_INSTANCE": "notification-7"}
        self._environment = {**kept, **told, **settings}
        self._process: asyncio.subprocess.Process | None = None
        self.tokens = CallerTokens(SECRET.encode(), "order", SystemClock())

    async def start(self) -> None:
        """Starts the process; raises AssertionError, with its log, if it does not get ready."""
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
        """Kills the process if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> int:
        """Sends SIGTERM, and returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START):
            return await self._process.wait()

    def log(self) -> list[dict[str, Any]]:
        """Gives the records of its log so far; each line must be a JSON object."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """Opens a gRPC channel to it, without anything of Souk's."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield channel

    def caller(self) -> tuple[tuple[str, str], ...]:
        """Makes the metadata of Order's relay, which delivers events."""
        return self.calling(DELIVER)

    def calling(self, method: str) -> tuple[tuple[str, str], ...]:
        """Makes the metadata of Order for a call of a method."""
        return ((CALLER_KEY, self.tokens.sign(NOBODY, "notification", method)),)

    def letters(self) -> dict[str, bytes]:
        """Gives the letters by the ids of their events."""
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
