"""Turns requests of the contract into commands, and results into messages."""

from dataclasses import fields
from typing import Any

import grpc.aio
from google.protobuf.empty_pb2 import Empty
from shop.user.v1 import user_pb2 as pb
from shop.user.v1.user_pb2_grpc import UserServiceServicer

from marketplace.user.deps import Deps
from marketplace.user.domain.account import DEFAULT_LOCALE, Profile, require
from marketplace.user.domain.address import FIELDS, PostalAddress
from marketplace.user.messages import (
    address_message,
    api_key_message,
    browser_message,
    push_subscription_message,
    token_message,
    user_message,
)
from marketplace.user.use_cases.addresses import (
    CreateAddress,
    DeleteAddress,
    GetAddress,
    ListAddresses,
    UpdateAddress,
    create_address,
    delete_address,
    get_address,
    list_addresses,
    update_address,
)
from marketplace.user.use_cases.api_keys import (
    AuthenticateApiKey,
    CreateApiKey,
    CreateClientToken,
    ListApiKeys,
    RevokeApiKey,
    authenticate_api_key,
    create_api_key,
    create_client_token,
    list_api_keys,
    revoke_api_key,
)
from marketplace.user.use_cases.change_password import ChangePassword, change_password
from marketplace.user.use_cases.delete_user import DeleteUser, delete_user
from marketplace.user.use_cases.get_user import GetUser, get_user
from marketplace.user.use_cases.issue_token import CLIENT_SECONDS
from marketplace.user.use_cases.log_in import LogIn, log_in
from marketplace.user.use_cases.log_out import LogOut, log_out
from marketplace.user.use_cases.push_subscriptions import (
    EndSubscription,
    ForgetSubscription,
    ListSubscriptions,
    Subscribe,
    browsers_of,
    end_subscription,
    forget_subscription,
    list_subscriptions,
    subscribe,
)
from marketplace.user.use_cases.refresh_token import RefreshToken, refresh_token
from marketplace.user.use_cases.register_user import RegisterUser, register_user
from marketplace.user.use_cases.signing_keys import list_signing_keys
from marketplace.user.use_cases.update_user import Unsubscribe, UpdateUser, unsubscribe, update_user
from souk.sdk import Violation, current, page_of

Context = grpc.aio.ServicerContext[Any, Any]

PROFILE = tuple(field.name for field in fields(Profile))


class UserServicer(UserServiceServicer):
    """Serves shop.user.v1.UserService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> pb.User:
        locale = _given(request, "locale") or DEFAULT_LOCALE
        command = RegisterUser(request.email, request.password, request.name, locale=locale)
        return user_message(await register_user(self._deps, command))

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.Token:
        _require_one_proof(request)
        if request.HasField("refresh_token"):
            return token_message(await refresh_token(self._deps, RefreshToken(request.refresh_token)))
        return token_message(await log_in(self._deps, LogIn(request.email, request.password)))

    async def Logout(self, request: pb.LogoutRequest, context: Context) -> Empty:
        await log_out(self._deps, LogOut(_me(), request.refresh_token))
        return Empty()

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> Empty:
        command = ChangePassword(_me(), request.current_password, request.new_password)
        await change_password(self._deps, command)
        return Empty()

    async def ListSigningKeys(self, request: pb.ListSigningKeysRequest, context: Context) -> pb.SigningKeys:
        keys = sorted(await list_signing_keys(self._deps), key=lambda key: key.signs_from)
        return pb.SigningKeys(keys=[pb.SigningKey(**self._deps.signer.public(key)) for key in keys])

    async def GetMe(self, request: pb.GetMeRequest, context: Context) -> pb.User:
        return user_message(await get_user(self._deps, GetUser(_me())))

    async def UpdateMe(self, request: pb.UpdateMeRequest, context: Context) -> pb.User:
        profile = Profile(**{field: _given(request, field) for field in PROFILE})
        command = UpdateUser(_me(), profile, _given(request, "current_password"))
        return user_message(await update_user(self._deps, command))

    async def Unsubscribe(self, request: pb.UnsubscribeRequest, context: Context) -> Empty:
        await unsubscribe(self._deps, Unsubscribe(request.token))
        return Empty()

    async def DeleteMe(self, request: pb.DeleteMeRequest, context: Context) -> Empty:
        await delete_user(self._deps, DeleteUser(_me(), request.current_password, request.forfeit_balance))
        return Empty()

    async def ListAddresses(self, request: pb.ListAddressesRequest, context: Context) -> pb.ListAddressesResponse:
        page = page_of(request, (int, str), caller=_me())
        shown, next_token = await list_addresses(self._deps, ListAddresses(_me(), page))
        return pb.ListAddressesResponse(addresses=map(address_message, shown), next_page_token=next_token)

    async def CreateAddress(self, request: pb.CreateAddressRequest, context: Context) -> pb.Address:
        postal = PostalAddress(**{field: _given(request, field) for field in FIELDS})
        return address_message(await create_address(self._deps, CreateAddress(_me(), postal)))

    async def GetAddress(self, request: pb.GetAddressRequest, context: Context) -> pb.Address:
        return address_message(await get_address(self._deps, GetAddress(_me(), request.id)))

    async def UpdateAddress(self, request: pb.UpdateAddressRequest, context: Context) -> pb.Address:
        given = {field: value for field in FIELDS if (value := _given(request, field)) is not None}
        return address_message(await update_address(self._deps, UpdateAddress(_me(), request.id, given)))

    async def DeleteAddress(self, request: pb.DeleteAddressRequest, context: Context) -> Empty:
        await delete_address(self._deps, DeleteAddress(_me(), request.id))
        return Empty()

    async def ListPushSubscriptions(
        self, request: pb.ListPushSubscriptionsRequest, context: Context
    ) -> pb.ListPushSubscriptionsResponse:
        page = page_of(request, (int, str), caller=_me())
        shown, next_token = await list_subscriptions(self._deps, ListSubscriptions(_me(), page))
        found = map(push_subscription_message, shown)
        return pb.ListPushSubscriptionsResponse(push_subscriptions=found, next_page_token=next_token)

    async def CreatePushSubscription(
        self, request: pb.CreatePushSubscriptionRequest, context: Context
    ) -> pb.PushSubscription:
        command = Subscribe(_me(), request.endpoint, request.keys.p256dh, request.keys.auth)
        return push_subscription_message(await subscribe(self._deps, command))

    async def DeletePushSubscription(self, request: pb.DeletePushSubscriptionRequest, context: Context) -> Empty:
        await end_subscription(self._deps, EndSubscription(_me(), request.id))
        return Empty()

    async def ForgetPushSubscription(self, request: pb.ForgetPushSubscriptionRequest, context: Context) -> Empty:
        await forget_subscription(self._deps, ForgetSubscription(request.user_id, request.endpoint))
        return Empty()

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        page = page_of(request, (int, str), caller=_me())
        shown, next_token = await list_api_keys(self._deps, ListApiKeys(_me(), page))
        return pb.ListApiKeysResponse(api_keys=map(api_key_message, shown), next_page_token=next_token)

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.NewApiKey:
        days = _given(request, "expires_in_days")
        command = CreateApiKey(_me(), request.name, tuple(request.scopes), days, request.current_password)
        made, key = await create_api_key(self._deps, command)
        return pb.NewApiKey(api_key=api_key_message(made), key=key)

    async def DeleteApiKey(self, request: pb.DeleteApiKeyRequest, context: Context) -> Empty:
        await revoke_api_key(self._deps, RevokeApiKey(_me(), request.id))
        return Empty()

    async def AuthenticateApiKey(self, request: pb.AuthenticateApiKeyRequest, context: Context) -> pb.ApiKeyOwner:
        found = await authenticate_api_key(self._deps, AuthenticateApiKey(request.id, request.digest))
        return pb.ApiKeyOwner(user_id=found.user_id, scopes=found.scopes)

    async def CreateClientToken(self, request: pb.CreateClientTokenRequest, context: Context) -> pb.ClientToken:
        command = CreateClientToken(request.id, request.digest, tuple(request.scopes))
        token, scopes = await create_client_token(self._deps, command)
        return pb.ClientToken(access_token=token, expires_in=CLIENT_SECONDS, scopes=scopes)

    async def GetRoles(self, request: pb.GetRolesRequest, context: Context) -> pb.Roles:
        return pb.Roles(roles=(await get_user(self._deps, GetUser(request.user_id))).roles)

    async def GetContact(self, request: pb.GetContactRequest, context: Context) -> pb.Contact:
        account = await get_user(self._deps, GetUser(request.user_id))
        browsers = await browsers_of(self._deps, account.id) if request.with_browsers else ()
        return pb.Contact(
            email=account.email,
            name=account.name,
            locale=account.locale,
            unsubscribed=account.unsubscribed,
            unsubscribe_token=self._deps.unsubscribe_tokens.token(account.id),
            phone=account.phone,
            browsers=map(browser_message, browsers),
        )


def _me() -> str:
    return current().caller.subject


def _given(request: Any, field: str) -> Any:
    """Returns the field's value; None for an optional field that was not sent."""
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
