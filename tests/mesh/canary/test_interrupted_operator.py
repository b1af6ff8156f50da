"""An operator's command that is interrupted: what is recorded already is done all the same."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from soukapi.v1 import canary_pb2 as pb

from souk.kernel.clock import SystemClock
from souk.mesh.canary.operating.servicer import CanaryServicer
from souk.mesh.canary.steering.controller import CanaryController
from souk.mesh.canary.steering.store import CanaryStore
from souk.rpc.server.dispatcher import Context
from tests.mesh.canary.model_fleet import ModelAlarms, ModelFleet

PATIENCE = 60.0
PLAN = pb.CanaryPlan(service="payment", version="v2")


class SlowStore(CanaryStore):
    """Lets a test do something while a record is written."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.writing, self.go_on = threading.Event(), threading.Event()

    def write(self, records: Any) -> None:
        self.writing.set()
        self.go_on.wait(PATIENCE)
        super().write(records)


async def test_a_canary_that_is_on_the_disk_is_under_way(tmp_path: Path) -> None:
    fleet, store = ModelFleet(calls=0), SlowStore(tmp_path)
    controller = CanaryController(("payment",), store, fleet, fleet, ModelAlarms(fleet), SystemClock())
    context: Context = Any
    async with controller.running():
        asked = asyncio.create_task(CanaryServicer(controller).StartCanary(pb.StartCanaryRequest(plan=PLAN), context))
        await asyncio.to_thread(store.writing.wait, PATIENCE)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        store.go_on.set()
        async with asyncio.timeout(PATIENCE):
            while not controller.runs():
                await asyncio.sleep(0.01)
        assert [run.record.plan.release.version for run in controller.runs()] == ["v2"]
    assert store.read().keys() == {"payment"}
