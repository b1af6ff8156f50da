"""The adapter that asks Order what it decided about a prepared transaction."""

from collections.abc import Callable

import grpc.aio
from shop.order.v1 import order_pb2 as pb
from shop.order.v1.order_pb2_grpc import OrderServiceStub

from souk.sdk import BranchFate, acting_as

_FATES = {pb.DECISION_COMMIT: BranchFate.COMMIT, pb.DECISION_ABORT: BranchFate.ABORT}


class OrderDecisions:
    """Reads decisions by calls to Order; `channel` gives the channel to it, which is seldom needed."""

    def __init__(self, channel: Callable[[], grpc.aio.Channel]) -> None:
        self._channel = channel

    async def decision(self, key: str) -> BranchFate:
        """Returns what is to become of the transaction; raises AioRpcError when Order does not answer."""
        with acting_as("payment"):
            answer = await OrderServiceStub(self._channel()).GetDecision(pb.GetDecisionRequest(transaction=key))
        return _FATES.get(answer.decision, BranchFate.OPEN)
