"""Both sagas of an order, and the runner that they share."""

from collections.abc import Callable

from marketplace.order.domain.order import Order
from marketplace.order.ports import Payments, Stock
from marketplace.order.saga.cancel_order import CancelOrderSaga, begin_cancelling
from marketplace.order.saga.outcomes import PlacingOutcomes
from marketplace.order.saga.place_order import PlaceOrderSaga
from marketplace.order.store.orders import OrderStore
from souk.sdk import Saga, SagaRunner, Transaction

Run = Callable[[tuple[Saga, ...]], SagaRunner]


class OrderSagas:
    """Puts the sagas together. `run` makes the runner of the sagas; `place_order_deadline` is in seconds."""

    def __init__(
        self, orders: OrderStore, stock: Stock, payments: Payments, place_order_deadline: float, run: Run
    ) -> None:
        self.outcomes = PlacingOutcomes(orders, self._cancel)
        placing = PlaceOrderSaga(orders, stock, payments, place_order_deadline, self.outcomes)
        self.sagas = (placing.saga, CancelOrderSaga(orders, stock, payments).saga)
        self.runner = run(self.sagas)

    async def _cancel(self, tx: Transaction, order: Order) -> None:
        """Starts the second saga at the end of the first; the runner of both is made of them."""
        await begin_cancelling(self.runner, tx, order)
