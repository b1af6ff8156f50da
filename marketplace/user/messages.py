"""Translates accounts, addresses and tokens into messages of the contract."""

from google.protobuf.timestamp_pb2 import Timestamp
from shop.user.v1 import user_pb2 as pb

from marketplace.user.domain.account import Account, Token
from marketplace.user.domain.address import FIELDS, Address


def user_message(account: Account) -> pb.User:
    """Makes the message of an account as its owner sees it."""
    created_at = Timestamp()
    created_at.FromMicroseconds(account.created_at)
    return pb.User(
        id=account.id,
        email=account.email,
        name=account.name,
        roles=account.roles,
        created_at=created_at,
        locale=account.locale,
        unsubscribed=account.unsubscribed,
        phone=account.phone or None,
    )


def address_message(address: Address) -> pb.Address:
    """Makes the message of an address as its owner sees it."""
    return pb.Address(id=address.id, **{field: getattr(address.postal, field) for field in FIELDS})


def token_message(token: Token) -> pb.Token:
    """Makes the message of a pair of tokens."""
    return pb.Token(
        access_token=token.access_token,
        refresh_token=token.refresh_token,
        token_type="Bearer",
        expires_in=token.expires_in,
    )
