"""How a supervisor passes a call on: to one process of every service, all at once."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc.aio

from souk.admin.client import PATIENCE, connection
from souk.admin.process_status import View, answering
from souk.kernel.errors import DomainError

_REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION})


async def ask_hosts(
    views: Iterable[View], stub_of: Callable[[grpc.aio.Channel], Any], question: Callable[[Any], Any], missing: str
) -> list[tuple[str, Any]]:
    """Asks one process of each service; gives each service with its answer, None if none of its processes answers.

    `missing` is given in place of an answer that says that there is no such thing. Raises DomainError CANNOT_BE_DONE,
    with its text, for a request that a process refuses.
    """
    hosts: dict[str, list[View]] = {}
    for view in views:
        if answering(view):
            hosts.setdefault(view.service, []).append(view)
    answers = await asyncio.gather(*(_first(those, stub_of, question, missing) for those in hosts.values()))
    return [(service, answer) for service, answer in zip(hosts, answers, strict=True) if answer is not _NOT_SERVED]


async def ask_every(
    views: Iterable[View], stub_of: Callable[[grpc.aio.Channel], Any], question: Callable[[Any], Any]
) -> list[tuple[str, Any]]:
    """Asks every process; gives each by its own name with its answer, or None. Raises DomainError as `ask_hosts`."""
    asked = [view for view in views if answering(view)]
    answers = await asyncio.gather(*(_first([view], stub_of, question, "") for view in asked))
    return [(view.instance, answer) for view, answer in zip(asked, answers, strict=True) if answer is not _NOT_SERVED]


_NOT_SERVED = object()
"""Stands for a process that has no such contract, such as a gateway."""


async def _first(
    views: Sequence[View], stub_of: Callable[[grpc.aio.Channel], Any], question: Callable[[Any], Any], missing: str
) -> Any:
    for view in views:
        try:
            async with connection(view.control) as channel:
                await asyncio.wait_for(channel.channel_ready(), PATIENCE)
                return await question(stub_of(channel))
        except TimeoutError:
            continue
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return _NOT_SERVED
            if error.code() is grpc.StatusCode.NOT_FOUND and missing:
                return missing
            if error.code() in _REFUSED:
                raise DomainError("CANNOT_BE_DONE", error.details() or "") from error
    return None
