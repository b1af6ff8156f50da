"""Run beside the generated package `client`: a 409 arrives as the type of its code, with its own fields.

python check.py 409.json order.json
"""

import json
import sys
from pathlib import Path

import httpx
from client import Client
from client.api.order import place_order
from client.models import OrderOutOfStockProblem, PlaceOrderRequest

document, wish = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
answer = httpx.Response(409, json=document, headers={"content-type": "application/problem+json"})
client = Client("http://souk.test", httpx_args={"transport": httpx.MockTransport(lambda request: answer)})
found = place_order.sync_detailed(client=client, body=PlaceOrderRequest.from_dict(wish)).parsed
assert isinstance(found, OrderOutOfStockProblem), found
assert found.code == "OUT_OF_STOCK"
sys.stdout.write(f"{found.items[0].product_id} {found.items[0].available}\n")
