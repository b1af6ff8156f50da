"""A typed client of the marketplace's public API: `Client`, and `AsyncClient` for asyncio.

`souk_client.models` has the types of all bodies. They are plain dicts in JSON's names: what a newer server adds stays
in them.
"""

from souk_client.errors import ApiError, ClientError, NoAnswer
from souk_client.generated import models
from souk_client.generated.async_client import AsyncClient
from souk_client.generated.client import Client
from souk_client.retries import Retries

__all__ = ["ApiError", "AsyncClient", "Client", "ClientError", "NoAnswer", "Retries", "models"]
