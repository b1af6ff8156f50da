"""Requests to Elasticsearch by its official client."""

from ssl import SSLContext
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch, ConnectionTimeout, TransportError

from marketplace.product.adapters.search.transport import TIMEOUT, refusal, unreachable
from marketplace.product.ports import SearchUnavailable


class ElasticsearchTransport:
    """Implements `EngineTransport`."""

    name = "elasticsearch"

    def __init__(self, url: str, login: tuple[str, str] | None, tls: SSLContext | None) -> None:
        more: dict[str, Any] = {} if tls is None else {"ssl_context": tls}
        self._client = AsyncElasticsearch(
            url,
            basic_auth=login,
            max_retries=0,
            retry_on_timeout=False,
            **more,
        )

    async def send(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """Sends a request."""
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        headers = {"accept": "application/json", **({} if body is None else {"content-type": kind})}
        try:
            client = self._client.options(request_timeout=timeout)
            return (await client.perform_request(method, path, headers=headers, body=body)).body
        except ApiError as error:
            raise refusal(error.meta.status, error.body) from error
        except ConnectionTimeout as error:
            raise SearchUnavailable(TIMEOUT, "the search engine did not answer in time") from error
        except TransportError as error:
            raise unreachable(error) from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


open_transport = ElasticsearchTransport
