"""The User service: its composition root, and the servicer that turns messages into commands."""

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from marketplace.user.adapters.cached_key_ring import CachedKeyRing
from marketplace.user.address import FIELDS, Place
from marketplace.user.throttle import Counted
from marketplace.user.use_cases.account import DeleteMe, UpdateMe, delete_me, get_user, update_me
from marketplace.user.use_cases.addresses import (
    CreateAddress,
    UpdateAddress,
    create_address,
    delete_address,
    get_address,
    list_addresses,
    update_address,
)
from shop.user.v1 import user_pb2 as pb
from shop.user.v1.user_pb2_grpc import UserServiceServicer

from marketplace.user.adapters.argon2_passwords import Argon2Passwords
from marketplace.user.adapters.es256_signer import Es256Signer
from marketplace.user.adapters.sealed_keys import SealedKeys
from marketplace.user.adapters.service_obligations import ServiceObligations
from marketplace.user.demo import load_demo
from marketplace.user.domain import require
from marketplace.user.messages import address_message, token_message, user_message
from marketplace.user.ports import Accounts, Addresses, KeyRing, Obligations, Passwords, Sessions, Signer
from marketplace.user.settings import SETTINGS, read
from marketplace.user.store.accounts import AccountStore
from marketplace.user.store.addresses import AddressStore
from marketplace.user.store.attempts import AttemptStore
from marketplace.user.store.keys import KeyStore
from marketplace.user.store.sessions import SessionStore
from marketplace.user.use_cases.change_password import ChangePassword, change_password
from marketplace.user.use_cases.check_password import PasswordCheck
from marketplace.user.use_cases.issue_token import Issuer
from marketplace.user.use_cases.log_in import LogIn, LogInHandler
from marketplace.user.use_cases.log_out import LogOut, log_out
from marketplace.user.use_cases.refresh_token import RefreshToken, RefreshTokenHandler
from marketplace.user.use_cases.register_user import RegisterUser, register_user
from marketplace.user.use_cases.rotate_keys import rotate_keys
from souk.kernel.clock import Clock
from souk.kernel.context import current
from souk.kernel.errors import Violation
from souk.kernel.paging import page_of
from souk.runtime.service import Host, Parts, Service

__all__ = ["UserServicer", "build", "service"]

Context = grpc.aio.ServicerContext[Any, Any]
_HOUSEKEEPING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What the servicer works with."""

    accounts: Accounts
    addresses: Addresses
    sessions: Sessions
    check: PasswordCheck
    obligations: Obligations
    ring: KeyRing
    signer: Signer
    log_in: LogInHandler
    refresh: RefreshTokenHandler
    clock: Clock


class UserServicer(UserServiceServicer):
    """shop.user.v1.UserService."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> pb.User:
        command = RegisterUser(request.email, request.password, request.name)
        account = await register_user(command, self._needs.accounts, self._needs.check, self._needs.clock)
        return user_message(account)

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.Token:
        _require_one_proof(request)
        if request.HasField("refresh_token"):
            return token_message(await self._needs.refresh(RefreshToken(request.refresh_token)))
        return token_message(await self._needs.log_in(LogIn(request.email, request.password)))

    async def Logout(self, request: pb.LogoutRequest, context: Context) -> Empty:
        await log_out(LogOut(_me(), request.refresh_token), self._needs.sessions)
        return Empty()

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> Empty:
        command = ChangePassword(_me(), request.current_password, request.new_password)
        await change_password(command, self._needs.accounts, self._needs.check)
        return Empty()

    async def ListSigningKeys(self, request: pb.ListSigningKeysRequest, context: Context) -> pb.SigningKeys:
        keys = sorted(await self._needs.ring.keys(), key=lambda key: key.signs_from)
        return pb.SigningKeys(keys=[pb.SigningKey(**self._needs.signer.public(key)) for key in keys])

    async def GetMe(self, request: pb.GetMeRequest, context: Context) -> pb.User:
        return user_message(await get_user(_me(), self._needs.accounts))

    async def UpdateMe(self, request: pb.UpdateMeRequest, context: Context) -> pb.User:
        name, email, password = (_given(request, field) for field in ("name", "email", "current_password"))
        command = UpdateMe(_me(), name, email, password)
        return user_message(await update_me(command, self._needs.accounts, self._needs.check))

    async def DeleteMe(self, request: pb.DeleteMeRequest, context: Context) -> Empty:
        command = DeleteMe(_me(), request.current_password, request.forfeit_balance)
        await delete_me(command, self._needs.accounts, self._needs.check, self._needs.obligations)
        return Empty()

    async def ListAddresses(self, request: pb.ListAddressesRequest, context: Context) -> pb.ListAddressesResponse:
        page = page_of(request, (int, str), caller=_me())
        shown, next_token = await list_addresses(_me(), page, self._needs.addresses)
        return pb.ListAddressesResponse(addresses=map(address_message, shown), next_page_token=next_token)

    async def CreateAddress(self, request: pb.CreateAddressRequest, context: Context) -> pb.Address:
        place = Place(**{field: _given(request, field) for field in FIELDS})
        return address_message(
            await create_address(CreateAddress(_me(), place), self._needs.addresses, self._needs.clock)
        )

    async def GetAddress(self, request: pb.GetAddressRequest, context: Context) -> pb.Address:
        return address_message(await get_address(_me(), request.id, self._needs.addresses))

    async def UpdateAddress(self, request: pb.UpdateAddressRequest, context: Context) -> pb.Address:
        given = {field: value for field in FIELDS if (value := _given(request, field)) is not None}
        return address_message(await update_address(UpdateAddress(_me(), request.id, given), self._needs.addresses))

    async def DeleteAddress(self, request: pb.DeleteAddressRequest, context: Context) -> Empty:
        await delete_address(_me(), request.id, self._needs.addresses)
        return Empty()

    async def GetRoles(self, request: pb.GetRolesRequest, context: Context) -> pb.Roles:
        return pb.Roles(roles=(await get_user(request.user_id, self._needs.accounts)).roles)

    async def GetContact(self, request: pb.GetContactRequest, context: Context) -> pb.Contact:
        account = await get_user(request.user_id, self._needs.accounts)
        return pb.Contact(email=account.email, name=account.name)


async def build(host: Host, passwords: Passwords | None = None, obligations: Obligations | None = None) -> Parts:
    """Puts the service together; a test may bring a cheaper way to hash passwords, and stand for others."""
    settings, clock = read(host.settings), host.clock
    passwords = passwords or Argon2Passwords()
    accounts = AccountStore(host.database, host.outbox)
    sessions = SessionStore(host.database, clock)
    attempts = AttemptStore(host.database, clock)
    check = PasswordCheck(attempts, passwords, Counted(host.secret))
    keys, signer = KeyStore(host.database, SealedKeys(host.secret)), Es256Signer()
    await keys.seal_all()
    ring = CachedKeyRing(keys, lambda: rotate_keys(keys, signer, settings.schedule, clock), clock)
    issuer = Issuer(ring, signer, clock, settings.access_token_seconds)
    needs = Needs(
        accounts=accounts,
        addresses=(addresses := AddressStore(host.database)),
        sessions=sessions,
        check=check,
        obligations=obligations or ServiceObligations(host.channel),
        ring=ring,
        signer=signer,
        log_in=LogInHandler(accounts, sessions, check, issuer, settings.refresh_lifetime),
        refresh=RefreshTokenHandler(accounts, sessions, issuer, settings.refresh_lifetime),
        clock=clock,
    )

    async def keep_house() -> None:
        while True:
            await rotate_keys(keys, signer, settings.schedule, clock)
            await sessions.forget_expired()
            await attempts.forget_old()
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)

    return Parts(
        servicer=UserServicer(needs),
        tasks={"rotate keys and forget old sessions": keep_house},
        demo=lambda: load_demo(accounts, addresses, check, clock),
    )


def _me() -> str:
    return current().caller.subject


def _given(request: Any, field: str) -> Any:
    """The field's value; None for an optional one that was not sent."""
    if request.DESCRIPTOR.fields_by_name[field].has_presence and not request.HasField(field):
        return None
    return getattr(request, field)


def _require_one_proof(request: pb.CreateTokenRequest) -> None:
    by_password = [field for field in ("email", "password") if request.HasField(field)]
    if request.HasField("refresh_token"):
        require(*(Violation(field, "must not be given together with refresh_token") for field in by_password))
    else:
        missing = [field for field in ("email", "password") if field not in by_password]
        require(*(Violation(field, "is required, unless there is a refresh_token") for field in missing))


service = Service(
    name="user",
    contract=pb.DESCRIPTOR.services_by_name["UserService"],
    build=build,
    migrations=files("marketplace.user") / "migrations",
    settings=SETTINGS,
)
