"""A system of one service, as small as the contracts allow: it counts logins, and one kind of login waits."""

import asyncio
import time
from pathlib import Path
from typing import Any

import click
import grpc
from google.protobuf.empty_pb2 import Empty
from shop.user.v1 import user_pb2 as pb
from shop.user.v1.user_pb2_grpc import UserServiceServicer

from souk.runtime.service import App, Service, ServiceContext, ServiceParts, Setting, TokenIssuer
from souk.store.database import Transaction


class Unused(UserServiceServicer):
    """Fakes the methods of the contract that this system never calls."""


async def _unused(self: Any, request: Any, context: Any) -> Any:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")


for _method in pb.DESCRIPTOR.services_by_name["UserService"].methods:
    setattr(Unused, _method.name, _unused)


class Tiny(Unused):
    def __init__(self, context: ServiceContext) -> None:
        self._context = context

    async def ListSigningKeys(self, request: pb.ListSigningKeysRequest, context: Any) -> pb.SigningKeys:
        return pb.SigningKeys()

    async def GetRoles(self, request: pb.GetRolesRequest, context: Any) -> pb.Roles:
        return pb.Roles()

    async def Logout(self, request: pb.LogoutRequest, context: Any) -> Empty:
        return Empty()

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Any) -> pb.Token:
        if request.password == "wait-for-me":
            (self._context.folder / "waiting").touch()
            while not (self._context.folder / "go").exists():
                await asyncio.sleep(0.01)
        return pb.Token(token_type="Bearer", expires_in=await self._count())

    async def _count(self) -> int:
        async def work(tx: Transaction) -> int:
            row = await tx.fetch_one("UPDATE tiny SET logins = logins + 1 RETURNING logins")
            assert row is not None
            return int(row["logins"])

        return await self._context.database.run(work)


async def build(context: ServiceContext) -> ServiceParts:
    servicer = Tiny(context)

    async def demo() -> None:
        async def work(tx: Transaction) -> None:
            await tx.execute("INSERT INTO tiny_demo (name) VALUES ('one') ON CONFLICT (name) DO NOTHING")

        await context.database.run(work)

    async def drain() -> None:
        (context.folder / "drained").touch()

    return ServiceParts(servicer=servicer, demo=demo, drain=drain)


service = Service(
    name="user",
    contract=pb.DESCRIPTOR.services_by_name["UserService"],
    build=build,
    migrations=Path(__file__).parent / "migrations",
    settings=(Setting("greeting", "How logins are greeted.", "not at all"),),
)

app = App(
    name="tiny",
    services=(service,),
    token_issuer=TokenIssuer(
        issuer="souk",
        audience="souk",
        keys_method="/shop.user.v1.UserService/ListSigningKeys",
        roles_method="/shop.user.v1.UserService/GetRoles",
    ),
)


@click.command()
@click.option("--url")
@click.option("--data", type=Path)
def linger(url: str, data: Path) -> None:
    """Writes a mark, and waits for a minute or until it is ended."""
    (data / "user" / "lingers").touch()
    time.sleep(60)
