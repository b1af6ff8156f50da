"""Limits at the gateway: answers, headers, log and metrics."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import generate_latest

from souk.gateway.limits.defaults import DEFAULTS
from souk.gateway.limits.limiter import LimitMode, RateLimits
from souk.gateway.limits.memory import MemoryQuotas
from souk.gateway.limits.policies_file import from_mapping
from souk.gateway.limits.policy import LimitPolicy
from souk.telemetry.logs import LogSettings, configure

FEW = from_mapping(
    {
        "reads": {"count": 3, "window": 60},
        "sensitive": {"count": 6, "window": 60},
        "account": {"count": 2, "window": 60},
        "registrations": {"count": 2, "window": 3600},
    }
)
LOGIN = {"email": "ann@souk.test", "password": "x"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    yield stream
    structlog.reset_defaults()


def limit(world: Any, mode: LimitMode = LimitMode.ENFORCE, policies: tuple[LimitPolicy, ...] = FEW) -> RateLimits:
    limits = RateLimits.of(policies, MemoryQuotas(world.clock), mode)
    world.remake(limits)
    return limits


async def test_a_caller_beyond_the_limit_is_refused_until_the_time_that_the_answer_says(world: Any) -> None:
    limit(world)
    answers = [await world.send("GET", "/api/v1/products") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"reads";q=3;w=60'] * 4
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
        '"reads";r=2',
        '"reads";r=1',
        '"reads";r=0',
        '"reads";r=0',
    ]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json["code"] == "RATE_LIMITED"
    assert refused.json["violated-policies"] == ["reads"]
    assert refused.headers["retry-after"] == refused.headers["ratelimit"].partition(";t=")[2]
    world.clock.advance(int(refused.headers["retry-after"]))
    assert (await world.send("GET", "/api/v1/products")).status == 200


async def test_answers_that_are_problems_have_the_fields_too(world: Any) -> None:
    limit(world)
    answer = await world.send("GET", "/api/v1/products?pageSize=many")
    assert (answer.status, answer.headers["ratelimit"][:11]) == (400, '"reads";r=2')


async def test_callers_and_addresses_do_not_use_up_each_others_quota(world: Any) -> None:
    limit(world)
    ann, bob = world.token("U-ann"), world.token("U-bob")
    for token in (ann, bob):
        statuses = [(await world.send("GET", "/api/v1/users/me", token=token)).status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
    assert (await world.send("GET", "/api/v1/products")).status == 200


async def test_what_is_refused_for_its_token_is_not_counted(world: Any) -> None:
    limit(world)
    for _ in range(9):
        answer = await world.send("GET", "/api/v1/users/me")
        assert (answer.status, "ratelimit" in answer.headers) == (401, False)


async def test_logins_are_limited_by_account_and_that_uses_up_no_quota_of_the_address(world: Any) -> None:
    limit(world)
    answers = [await world.send("POST", "/api/v1/auth/token", LOGIN) for _ in range(10)]
    assert [answer.status for answer in answers] == [200] * 2 + [429] * 8
    assert {tuple(answer.json["violated-policies"]) for answer in answers[2:]} == {("account",)}
    assert world.services.count("CreateToken") == 2
    others = [{**LOGIN, "email": f"bob{number}@souk.test"} for number in range(5)]
    answers = [await world.send("POST", "/api/v1/auth/token", other) for other in others]
    assert [answer.status for answer in answers] == [200] * 4 + [429]
    assert answers[-1].json["violated-policies"] == ["sensitive"]
    shouted = await world.send("POST", "/api/v1/auth/token", {**LOGIN, "email": "ANN@souk.test"})
    assert shouted.status == 429


async def test_a_refresh_token_names_no_account(world: Any) -> None:
    limit(world)
    statuses = [(await world.send("POST", "/api/v1/auth/token", {"refreshToken": "x"})).status for _ in range(7)]
    assert statuses == [200] * 6 + [429]


async def test_registrations_have_a_limit_of_their_own(world: Any) -> None:
    limit(world)
    new = {"email": "new@souk.test", "password": "long enough", "name": "New"}
    answers = [await world.send("POST", "/api/v1/users", new) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 429]
    assert answers[-1].json["violated-policies"] == ["registrations"]
    assert answers[-1].headers["ratelimit-policy"] == '"sensitive";q=6;w=60, "registrations";q=2;w=3600'
    assert answers[-1].headers["ratelimit"].startswith('"sensitive";r=4;t=20, "registrations";r=0;t=')


async def test_to_report_refuses_nobody_and_says_what_it_would_have_done(world: Any, log: io.StringIO) -> None:
    limits = limit(world, LimitMode.REPORT)
    answers = [await world.send("GET", "/api/v1/products") for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 5
    assert (limits.counts.allowed["reads"], limits.counts.reported["reads"]) == (3, 2)
    assert limits.counts.refused["reads"] == 0
    lines = [json.loads(line) for line in log.getvalue().splitlines() if '"limit"' in line]
    assert [(line["status"], line["limit"]) for line in lines] == [(200, "reads")] * 2


async def test_log_and_metrics_name_the_policy(world: Any, log: io.StringIO) -> None:
    limit(world)
    for _ in range(4):
        await world.send("GET", "/api/v1/products")
    lines = [json.loads(line) for line in log.getvalue().splitlines() if '"limit"' in line]
    assert [(line["status"], line["limit"]) for line in lines] == [(429, "reads")]
    shown = generate_latest(world.registry).decode()
    assert 'souk_gateway_rate_limited_total{outcome="refused",policy="reads"} 1.0' in shown
    assert 'souk_gateway_rate_limited_total{outcome="allowed",policy="reads"} 3.0' in shown
    assert 'souk_gateway_rate_limited_total{outcome="refused",policy="writes"} 0.0' in shown


async def test_off_counts_nothing(world: Any) -> None:
    limits = limit(world, LimitMode.OFF)
    answers = [await world.send("GET", "/api/v1/products") for _ in range(5)]
    assert [(answer.status, "ratelimit" in answer.headers) for answer in answers] == [(200, False)] * 5
    assert limits.counts.allowed["reads"] == 0


async def test_the_document_shows_the_limits(world: Any) -> None:
    limit(world, policies=DEFAULTS)
    operations = (await world.send("GET", "/openapi.json")).json["paths"]
    login = operations["/api/v1/auth/token"]["post"]
    assert [one["policy"] for one in login["x-rate-limit"]] == ["sensitive", "account"]
    assert operations["/api/v1/orders"]["post"]["x-rate-limit"] == [
        {"policy": "writes", "by": "caller", "quota": 120, "window": 60, "burst": 60}
    ]
    assert set(login["responses"]["200"]["headers"]) >= {"RateLimit", "RateLimit-Policy"}
