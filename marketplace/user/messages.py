"""Translates accounts, addresses and tokens into messages of the contract."""

from google.protobuf.timestamp_pb2 import Timestamp
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.account import Account, Token
from marketplace.user.domain.address import FIELDS, Address
from marketplace.user.domain.api_key import ApiKey
from marketplace.user.domain.push_subscription import PushSubscription


def user_message(account: Account) -> pb.User:
    """Makes the message of an account as its owner sees it."""
    return pb.User(
        id=account.id,
        email=account.email,
        name=account.name,
        roles=account.roles,
        created_at=_timestamp(account.created_at),
        locale=account.locale,
        unsubscribed=account.unsubscribed,
        phone=account.phone or None,
    )


def address_message(address: Address) -> pb.Address:
    """Makes the message of an address as its owner sees it."""
    return pb.Address(id=address.id, **{field: getattr(address.postal, field) for field in FIELDS})


def push_subscription_message(found: PushSubscription) -> pb.PushSubscription:
    """Makes the message of a browser as its user sees it: without address and keys."""
    return pb.PushSubscription(id=found.id, service=found.service, created_at=_timestamp(found.created_at))


def browser_message(found: PushSubscription) -> pb.Browser:
    """Makes the message of a browser for who sends to it."""
    return pb.Browser(endpoint=found.endpoint, keys=pb.PushKeys(p256dh=found.public_key, auth=found.secret))


def api_key_message(key: ApiKey) -> pb.ApiKey:
    """Makes the message of an API key as its owner sees it: without its secret."""
    return pb.ApiKey(
        id=key.id,
        name=key.name,
        scopes=key.scopes,
        created_at=_timestamp(key.created_at),
        expires_at=_timestamp(key.expires_at),
        last_used_at=None if key.last_used_at is None else _timestamp(key.last_used_at),
    )


def token_message(token: Token) -> pb.Token:
    """Makes the message of a pair of tokens."""
    return pb.Token(
        access_token=token.access_token,
        refresh_token=token.refresh_token,
        token_type="Bearer",
        expires_in=token.expires_in,
    )


def _timestamp(microseconds: int) -> Timestamp:
    time = Timestamp()
    time.FromMicroseconds(microseconds)
    return time
