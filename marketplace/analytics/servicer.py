"""Turns requests of the contract into queries, and what was read into messages."""

from typing import Any

import grpc.aio
from shop.analytics.v1 import analytics_pb2 as pb
from shop.analytics.v1.analytics_pb2_grpc import AnalyticsServiceServicer

from marketplace.analytics.deps import Deps
from marketplace.analytics.domain.reports import Days, Ranking, days_of
from marketplace.analytics.messages import to_conversion, to_revenue, to_top_products
from marketplace.analytics.use_cases.read_figures import (
    GetConversion,
    GetRevenue,
    GetTopProducts,
    get_conversion,
    get_revenue,
    get_top_products,
)
from souk.sdk import page_size_of

Context = grpc.aio.ServicerContext[Any, Any]


class AnalyticsServicer(AnalyticsServiceServicer):
    """Serves shop.analytics.v1.AnalyticsService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def GetRevenue(self, request: pb.GetRevenueRequest, context: Context) -> pb.Revenue:
        read = await get_revenue(self._deps, GetRevenue(_days(request), _currency(request)))
        return to_revenue(read.as_of, read.found)

    async def GetTopProducts(self, request: pb.GetTopProductsRequest, context: Context) -> pb.TopProducts:
        ranking = Ranking(request.sort or Ranking.REVENUE)
        query = GetTopProducts(_days(request), _currency(request), ranking, page_size_of(request))
        read = await get_top_products(self._deps, query)
        return to_top_products(read.as_of, read.found)

    async def GetConversion(self, request: pb.GetConversionRequest, context: Context) -> pb.Conversion:
        read = await get_conversion(self._deps, GetConversion(_days(request)))
        return to_conversion(read.as_of, read.found)


def _days(request: Any) -> Days:
    return days_of(getattr(request, "from"), request.to)  # a word of Python's own names the field


def _currency(request: pb.GetRevenueRequest | pb.GetTopProductsRequest) -> str | None:
    return request.currency if request.HasField("currency") else None
