"""What a running system keeps of its spans and figures, read over its private socket."""

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.client import connection
from souk.runtime.data.layout import DataLayout
from souk.testing.processes import PATIENCE, system

Tiny = Mapping[str, str]
LOGIN = "/api/v1/auth/token"


async def kept(folder: Path, settings: Tiny) -> tuple[fleet_pb2.ReadSpansResponse, fleet_pb2.ReadMetricsResponse]:
    async with system(folder, settings=settings) as up:
        async with httpx.AsyncClient(base_url=up.address, timeout=PATIENCE) as client:
            (await client.post(LOGIN, json={"email": "a@souk.test", "password": "secret-word"})).raise_for_status()
        async with connection(str(DataLayout(folder.resolve()).control)) as channel:
            process = fleet_pb2_grpc.ProcessStub(channel)
            return (
                await process.ReadSpans(fleet_pb2.ReadSpansRequest()),
                await process.ReadMetrics(fleet_pb2.ReadMetricsRequest()),
            )


async def test_a_request_can_be_read_with_all_that_it_called(tmp_path: Path, tiny: Tiny) -> None:
    spans, metrics = await kept(tmp_path / "data", tiny)
    by_name = {(one.service, one.name, one.kind): one for one in spans.spans}
    request = by_name["gateway", f"POST {LOGIN}", 1]
    called = next(one for one in spans.spans if one.parent_id == request.span_id)
    assert (called.service, called.kind, called.trace_id) == ("gateway", 2, request.trace_id)
    assert any(one.parent_id == called.span_id and one.service == "user" for one in spans.spans)
    assert "secret-word" not in str(spans)
    assert "souk_call_seconds" in {one.name for one in metrics.families}


@pytest.mark.parametrize("off", [{"SOUK_CONSOLE": "false"}, {"OTEL_SDK_DISABLED": "true"}])
async def test_it_can_be_switched_off(tmp_path: Path, tiny: Tiny, off: Tiny) -> None:
    spans, _ = await kept(tmp_path / "data", {**tiny, **off})
    assert (spans.ring, len(spans.spans)) == ("", 0)


@pytest.mark.parametrize(("rate", "left_out"), [("1", True), ("100000", False)])
async def test_under_load_the_tail_records_only_a_share(tmp_path: Path, tiny: Tiny, rate: str, left_out: bool) -> None:
    few = {**tiny, "SOUK_CONSOLE_TRACES": "1", "SOUK_TRACE_TAIL_RATE": rate}
    async with system(tmp_path / "data", settings=few) as up:
        async with httpx.AsyncClient(base_url=up.address, timeout=PATIENCE) as client:
            for _ in range(200):
                await client.get("/nothing-here")
        async with connection(str(DataLayout((tmp_path / "data").resolve()).control)) as channel:
            found = await fleet_pb2_grpc.ProcessStub(channel).ReadMetrics(fleet_pb2.ReadMetricsRequest())
    family = next(one for one in found.families if one.name.startswith("souk_spans"))
    counts = {one.labels[0]: one.value for one in family.series}
    assert (counts["unrecorded"] > 0) is left_out
