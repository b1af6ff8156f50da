"""The clients of SQS and SNS, how anything is asked of them, and what an error means."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from botocore.parsers import ResponseParserError

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.sqs.settings import SqsSettings
from souk.kernel.errors import ConfigurationError

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

_T = TypeVar("_T")

_FAILURES = (BotoCoreError, ClientError, ResponseParserError, HttpError, OSError, TimeoutError)
"""What the client raises."""
_MISSING = frozenset(
    {
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExistException",
    }
)
_REFUSED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "KMS.AccessDeniedException"})
_NOBODY = "souk"
"""The key and the secret for a server in the URL without any: the client must have some, and never those for AWS."""
_CONNECTIONS = 100


class QueueMissing(BrokerUnavailable):
    """There is no such queue or topic."""


def explained(error: BaseException, server: str) -> BrokerUnavailable:
    """Returns what to raise for an error of the client."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return BrokerUnavailable(
            f"{server}: there are no credentials: neither in the URL nor where AWS's clients look for them"
        )
    if not isinstance(error, ClientError):
        return BrokerUnavailable(f"{server} cannot be reached, or does not answer: {error!r}")
    code, says = str(error.response["Error"].get("Code", "")), str(error.response["Error"].get("Message", ""))
    if code in _MISSING:
        return QueueMissing(f"{server}: a queue or a topic does not exist; it must be declared: {says}")
    if code in _FORBIDDEN:
        return BrokerUnavailable(f"{server}: the credentials do not permit this: {says}")
    if code in _REFUSED or error.response["ResponseMetadata"].get("HTTPStatusCode") in (401, 403):
        return BrokerUnavailable(f"{server} refuses the credentials: {code}: {says[:200]}")
    return BrokerUnavailable(f"{server} refuses: {code}: {says}")


def require_region(settings: SqsSettings) -> None:
    """Raises ConfigurationError for AWS without a region, in the URL or where AWS's clients look for one."""
    if settings.endpoint or settings.region:
        return
    try:
        found = get_session().get_config_variable("region")
    except BotoCoreError as error:
        raise ConfigurationError(f"the broker's URL: {error}") from None
    if not found:
        raise ConfigurationError("the broker's URL needs a region, as in sqs:///?region=eu-west-1")


@dataclass(frozen=True, slots=True)
class AwsClients:
    """The clients. They have connections, and are closed with `stack`."""

    sqs: "SQSClient"
    sns: "SNSClient"
    stack: AsyncExitStack


class SqsLink:
    """Asks SQS and SNS. The clients are made when something is asked first, and keep no state of the server."""

    def __init__(self, settings: SqsSettings) -> None:
        self.settings = settings
        self._opening = asyncio.Lock()
        self._clients: AwsClients | None = None
        self._closed = False

    async def clients(self) -> AwsClients:
        """Returns the clients. Raises BrokerUnavailable after `close`."""
        async with self._opening:
            if self._closed:
                raise BrokerUnavailable("the broker was closed")
            if self._clients is None:
                self._clients = await self._open()
            return self._clients

    async def ask(self, call: Awaitable[_T], patience: float | None = None) -> _T:
        """Returns what a call of a client returns. Raises BrokerUnavailable; `patience` is in seconds."""
        try:
            async with asyncio.timeout(patience or self.settings.patience):
                return await call
        except _FAILURES as error:
            raise explained(error, self.settings.server) from error
        except RuntimeError as error:
            # So says the client's session when it was closed meanwhile.
            if not self._closed:
                raise
            raise BrokerUnavailable("the broker was closed") from error

    async def close(self) -> None:
        """Closes all connections."""
        self._closed = True
        async with self._opening:
            clients, self._clients = self._clients, None
            if clients is not None:
                await clients.stack.aclose()

    async def _open(self) -> AwsClients:
        session, settings, stack = get_session(), self.settings, AsyncExitStack()
        given = _arguments(settings)
        try:
            sqs = await stack.enter_async_context(
                session.create_client("sqs", endpoint_url=settings.endpoint or None, **given)
            )
            sns = await stack.enter_async_context(
                session.create_client("sns", endpoint_url=settings.sns or None, **given)
            )
        except BotoCoreError as error:
            await stack.aclose()
            raise explained(error, settings.server) from error
        except BaseException:
            await stack.aclose()
            raise
        return AwsClients(sqs, sns, stack)


def _arguments(settings: SqsSettings) -> dict[str, Any]:
    given: dict[str, Any] = {
        # A call is tried once: whoever asks knows better what may be asked again.
        "config": AioConfig(
            connect_timeout=settings.patience,
            read_timeout=settings.patience + settings.wait,
            retries={"total_max_attempts": 1},
            max_pool_connections=_CONNECTIONS,
        )
    }
    if settings.region or settings.endpoint:
        given["region_name"] = settings.region or "us-east-1"
    if settings.key or settings.endpoint:
        given["aws_access_key_id"] = settings.key or _NOBODY
        given["aws_secret_access_key"] = settings.secret or _NOBODY
    return given
