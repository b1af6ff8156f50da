"""Requests to OpenSearch by its official client."""

from ssl import SSLContext
from typing import Any

from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import ConnectionError as ConnectionFailed
from opensearchpy.exceptions import ConnectionTimeout, OpenSearchException, TransportError

from marketplace.product.adapters.search.transport import TIMEOUT, UNHEALTHY, refusal, unreachable
from marketplace.product.ports import SearchUnavailable


class OpenSearchTransport:
    """Implements `EngineTransport`."""

    name = "opensearch"

    def __init__(self, url: str, login: tuple[str, str] | None, tls: SSLContext | None) -> None:
        more: dict[str, Any] = {} if tls is None else {"ssl_context": tls}
        self._client = AsyncOpenSearch(url, http_auth=login, max_retries=0, retry_on_timeout=False, **more)

    async def send(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """Sends a request."""
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        content = body.decode() if isinstance(body, bytes) else body
        try:
            return await self._client.transport.perform_request(
                method, path, params={"request_timeout": timeout}, headers={"content-type": kind}, body=content
            )
        except ConnectionTimeout as error:
            raise SearchUnavailable(TIMEOUT, "the search engine did not answer in time") from error
        except ConnectionFailed as error:
            raise unreachable(error) from error
        except TransportError as error:
            raise refusal(int(error.status_code), error.info) from error
        except OpenSearchException as error:
            raise SearchUnavailable(UNHEALTHY, "the answer of the search engine cannot be read") from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


open_transport = OpenSearchTransport
