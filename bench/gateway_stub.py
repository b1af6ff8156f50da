"""Runs the gateway in front of two services that do nothing: `python -m bench.gateway_stub DIRECTORY PORT [ROUTES]`.

Everything else is real: tokens, routes, JSON, the channel with its layers, log and metrics. It prints an access token
once it serves.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from shop.order.v1 import order_pb2
from shop.user.v1 import user_pb2

from marketplace.app.app import app as marketplace
from marketplace.user.adapters.es256_signer import Es256Signer
from souk.cli.output.terminal import start_logging
from souk.hosting.monolith import monolith
from souk.kernel.clock import SystemClock
from souk.runtime.config.settings import DataSettings, HttpSettings, ListenSettings, Settings
from souk.runtime.process.http.limits import HttpLimits
from souk.runtime.process.signals import StopSignals, run
from souk.runtime.service import App, Service, ServiceContext, ServiceParts

_TIME = Timestamp(seconds=1_780_000_000, nanos=123_456_000)


def order() -> order_pb2.Order:
    """Gives the order that every request is answered with."""
    return order_pb2.Order(
        id="ORD-01J9ZK3V5W8Q2R4T6Y7U8I9O0P",
        status=order_pb2.ORDER_STATUS_CONFIRMED,
        items=[order_pb2.OrderItem(product_id="P-101", quantity=2, price=1200)],
        total=2400,
        currency="EUR",
        shipping_address_id="ADDR-55",
        payment_method="card",
        payment_id="PAY-01J9ZK3V5W8Q2R4T6Y7U8I9O0P",
        created_at=_TIME,
        updated_at=_TIME,
    )


class _Rest:
    """Stands for the other methods of a contract, which are not called here."""

    def __getattr__(self, name: str) -> Any:
        return self._unused

    async def _unused(self, request: Any, context: Any) -> None:
        raise NotImplementedError


class _Orders(_Rest):
    async def PlaceOrder(self, request: Any, context: Any) -> order_pb2.Order:
        return order()


class _Users(_Rest):
    def __init__(self, key: dict[str, str]) -> None:
        self._keys = user_pb2.SigningKeys(keys=[user_pb2.SigningKey(**key)])

    async def ListSigningKeys(self, request: Any, context: Any) -> user_pb2.SigningKeys:
        return self._keys


def _app(key: dict[str, str]) -> App:
    async def orders(host: ServiceContext) -> ServiceParts:
        return ServiceParts(_Orders())

    async def users(host: ServiceContext) -> ServiceParts:
        return ServiceParts(_Users(key))

    services = (
        Service("order", order_pb2.DESCRIPTOR.services_by_name["OrderService"], orders),
        Service("user", user_pb2.DESCRIPTOR.services_by_name["UserService"], users),
    )
    return App("bench", services, marketplace.token_issuer)


async def _serve(data: Path, port: int, routes: Path | None, up: asyncio.Event, stop: StopSignals) -> None:
    signer, now = Es256Signer(), int(time.time())
    key = signer.make_key(0)
    claims: dict[str, object] = {"iss": "souk", "aud": "souk", "sub": "U-demo", "iat": now, "exp": now + 3600}
    http = HttpSettings(routes=routes, limits=HttpLimits(connections=20_000, per_address=20_000))
    settings = Settings(demo=True, data=DataSettings(data), listen=ListenSettings(port=port), http=http)
    start_logging(settings.log)
    async with monolith(_app(signer.public(key)), settings, SystemClock()):
        print(signer.sign({**claims, "roles": ["customer"]}, key), flush=True)
        up.set()
        await stop.wait()


def main() -> None:
    """Serves until SIGTERM."""
    routes = Path(sys.argv[3]) if sys.argv[3:] else None
    run(lambda up, stop: _serve(Path(sys.argv[1]), int(sys.argv[2]), routes, up, stop))


if __name__ == "__main__":
    main()
