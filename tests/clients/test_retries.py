"""What is sent again, how often, when, and with which key: in the sync and in the async client alike."""

import asyncio
import base64
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from souk_client import ApiError, AsyncClient, Client, NoAnswer, Retries
from souk_client.call import retry_after
from souk_client.retries import Attempts, Failure, RetryBudget, failure_of
from souk_client.tokens import expires

QUICK = Retries(first_pause=0.0, deadline=300.0)
ORDER: Any = {"items": [], "shippingAddressId": "A", "paymentMethod": "card"}
Step = httpx.Response | Exception


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "no", "requestId": "r-1"}, headers=headers)


@dataclass
class Server:
    """Answers by a script, and keeps what it was sent."""

    steps: list[Step] = field(default_factory=list)
    sent: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def keys(self) -> list[str]:
        return [json.loads(request.content)["idempotencyKey"] for request in self.sent]


Run = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a method of a client against a scripted server."""

    def sync(server: Server, name: str, *arguments: Any, retries: Retries = QUICK, **more: Any) -> Any:
        with Client("http://s", retries=retries, http=httpx.Client(transport=httpx.MockTransport(server))) as client:
            client.token = "t"
            return getattr(client, name)(*arguments, **more)

    def run_async(server: Server, name: str, *arguments: Any, retries: Retries = QUICK, **more: Any) -> Any:
        async def go() -> Any:
            http = httpx.AsyncClient(transport=httpx.MockTransport(server))
            async with AsyncClient("http://s", token="t", retries=retries, http=http) as client:
                return await getattr(client, name)(*arguments, **more)

        return asyncio.run(go())

    return sync if request.param == "sync" else run_async


def test_an_order_keeps_its_key_and_its_request_id_in_every_try(run: Run) -> None:
    steps = [
        httpx.ReadError("cut"),
        problem(503, "ORDER_UNAVAILABLE"),
        problem(409, "REQUEST_IN_PROGRESS"),
        httpx.Response(201, json={"id": "ORD-1"}),
    ]
    server = Server(steps)
    assert run(server, "place_order", ORDER) == {"id": "ORD-1"}
    assert len(server.sent) == 4
    assert len(set(server.keys())) == 1
    assert len({request.headers["x-request-id"] for request in server.sent}) == 1
    assert {request.headers["authorization"] for request in server.sent} == {"Bearer t"}


def test_two_calls_have_two_keys_and_a_key_of_ones_own_is_kept(run: Run) -> None:
    server = Server([httpx.Response(201, json={}) for _ in range(3)])
    run(server, "place_order", ORDER)
    run(server, "place_order", ORDER)
    run(server, "place_order", {**ORDER, "idempotencyKey": "mine"})
    first, second, third = server.keys()
    assert first != second
    assert third == "mine"


def test_reads_and_what_is_idempotent_are_repeated(run: Run) -> None:
    for name, answer in (("get_product", {"id": "P"}), ("cancel_order", {"id": "O"})):
        server = Server([httpx.ReadTimeout("slow"), problem(502, ""), httpx.Response(200, json=answer)])
        assert run(server, name, "x") == answer


def test_what_may_have_been_done_is_not_repeated_without_a_key(run: Run) -> None:
    server = Server([httpx.ReadError("cut"), httpx.Response(201, json={})])
    with pytest.raises(NoAnswer) as failed:
        run(server, "create_address", {})
    assert (len(server.sent), failed.value.maybe_done, failed.value.tries) == (1, True, 1)
    server = Server([problem(504, "DEADLINE_EXCEEDED"), httpx.Response(201, json={})])
    with pytest.raises(ApiError) as refused:
        run(server, "create_address", {})
    assert (len(server.sent), refused.value.code) == (1, "DEADLINE_EXCEEDED")


def test_what_was_not_done_is_repeated_without_a_key(run: Run) -> None:
    steps = [httpx.ConnectError("refused"), problem(429, "RATE_LIMITED"), problem(503, "USER_UNAVAILABLE")]
    server = Server([*steps, httpx.Response(201, json={"id": "A"})])
    assert run(server, "create_address", {}) == {"id": "A"}


def test_a_refusal_is_an_error_with_its_code_and_is_not_repeated(run: Run) -> None:
    server = Server([problem(409, "OUT_OF_STOCK"), httpx.Response(201, json={})])
    with pytest.raises(ApiError) as refused:
        run(server, "place_order", ORDER)
    error = refused.value
    assert (error.status, error.code, error.detail, error.request_id) == (409, "OUT_OF_STOCK", "no", "r-1")
    assert (len(server.sent), str(error)) == (1, "POST /api/v1/orders answered 409 OUT_OF_STOCK no")


def test_an_answer_of_something_in_between_is_an_error_too(run: Run) -> None:
    for status in (302, 404, 500):
        with pytest.raises(ApiError) as refused:
            run(Server([httpx.Response(status, text="<html>")]), "get_product", "x")
        assert (refused.value.status, refused.value.code, bool(refused.value.request_id)) == (status, "", True)


def test_the_tries_end(run: Run) -> None:
    server = Server([problem(503, "ORDER_UNAVAILABLE") for _ in range(9)])
    with pytest.raises(ApiError) as refused:
        run(server, "place_order", ORDER, retries=Retries(tries=3, first_pause=0.0))
    assert (len(server.sent), refused.value.tries, len(set(server.keys()))) == (3, 3, 1)
    server = Server([httpx.ConnectError("refused") for _ in range(9)])
    with pytest.raises(NoAnswer) as failed:
        run(server, "place_order", ORDER, retries=Retries(tries=2, first_pause=0.0))
    assert (len(server.sent), failed.value.maybe_done) == (2, False)


def test_nobody_waits_longer_than_the_deadline_allows(run: Run) -> None:
    server = Server([problem(429, "RATE_LIMITED", **{"retry-after": "3600"})])
    with pytest.raises(ApiError) as refused:
        run(server, "place_order", ORDER)
    assert (len(server.sent), refused.value.retry_after) == (1, 3600.0)


def test_an_answer_without_a_body_is_none_and_names_are_escaped(run: Run) -> None:
    server = Server([httpx.Response(204)])
    assert run(server, "delete_address", "a/b c?") is None
    assert server.sent[0].url.raw_path == b"/api/v1/addresses/a%2Fb%20c%3F"


def test_a_query_has_what_is_given(run: Run) -> None:
    server = Server([httpx.Response(200, json={"products": []})])
    run(server, "search_products", q="a&b", page_size=5)
    assert dict(server.sent[0].url.params) == {"q": "a&b", "pageSize": "5"}


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (429, "RATE_LIMITED", Failure.NOTHING_DONE),
        (429, "TOO_MANY_ATTEMPTS", Failure.FINAL),
        (503, "PAYMENT_UNAVAILABLE", Failure.NOTHING_DONE),
        (503, "OVERLOADED", Failure.NOTHING_DONE),
        (503, "", Failure.UNKNOWN),
        (503, "ATTEMPT_CLOSING", Failure.UNKNOWN),
        (409, "REQUEST_IN_PROGRESS", Failure.UNKNOWN),
        (504, "DEADLINE_EXCEEDED", Failure.UNKNOWN),
        (500, "INTERNAL", Failure.FINAL),
        (400, "INVALID_REQUEST", Failure.FINAL),
    ],
)
def test_what_an_answer_tells(status: int, code: str, failure: Failure) -> None:
    assert failure_of(status, code) is failure


def test_pauses_grow_to_the_longest_and_come_after_what_the_server_says() -> None:
    retries = Retries(tries=9, deadline=100.0, first_pause=1.0, longest_pause=4.0)
    attempts = Attempts(retries, True, 0.0, RetryBudget(retries), randomly=lambda low, high: high)
    pauses = []
    for _ in range(5):
        attempts.next(0.0)
        pauses.append(attempts.pause(Failure.UNKNOWN, 0.0))
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert attempts.pause(Failure.NOTHING_DONE, 0.0, 7.0) == 11.0
    assert attempts.pause(Failure.NOTHING_DONE, 97.0) is None
    assert attempts.next(95.0) == 5.0


def test_retry_after_is_seconds_or_a_date() -> None:
    assert (retry_after("7"), retry_after(None), retry_after("soon")) == (7.0, None, None)
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert (retry_after("Wed, 21 Oct 2099 07:28:00 GMT") or 0.0) > 1e9


@pytest.mark.parametrize("url", ["shop", "ftp://shop", "http://"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of a system"):
        Client(url)


def test_a_call_that_is_cancelled_ends_and_is_not_repeated() -> None:
    async def go() -> int:
        asked = asyncio.Event()

        async def never(request: httpx.Request) -> httpx.Response:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        count = 0

        async def counted(request: httpx.Request) -> httpx.Response:
            nonlocal count
            count += 1
            return await never(request)

        async with AsyncClient("http://s", http=httpx.AsyncClient(transport=httpx.MockTransport(counted))) as client:
            task = asyncio.create_task(client.place_order(ORDER))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return count

    assert asyncio.run(go()) == 1


def test_the_deadline_ends_a_try_that_hangs() -> None:
    async def go() -> NoAnswer:
        async def never(request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        http = httpx.AsyncClient(transport=httpx.MockTransport(never))
        async with AsyncClient("http://s", retries=Retries(deadline=0.05), http=http) as client:
            with pytest.raises(NoAnswer) as failed:
                await client.place_order(ORDER)
            return failed.value

    assert asyncio.run(go()).maybe_done


def test_secrets_are_not_shown() -> None:
    shown = repr(Client("http://s", token="secret-token", api_key="secret-key"))
    assert "secret" not in shown


def _token(expires: float, name: str = "") -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": expires, "n": name}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def test_calls_share_one_budget_of_retries(run: Run) -> None:
    few = Retries(first_pause=0.0, deadline=300.0, budget=0.5, burst=2.0)
    server = Server([problem(503, "USER_UNAVAILABLE") for _ in range(12)])
    http: Any = httpx.MockTransport(server)
    with Client("http://s", token="t", retries=few, http=httpx.Client(transport=http)) as client:
        tried = []
        for _ in range(5):
            before = len(server.sent)
            with pytest.raises(ApiError) as refused:
                client.list_products()
            tried.append(len(server.sent) - before)
            assert refused.value.tries == tried[-1]
    assert tried == [3, 1, 2, 1, 2], "two were kept, and every second call earns one"
    with pytest.raises(ApiError):
        run(Server([problem(503, "USER_UNAVAILABLE")]), "list_products", retries=Retries(burst=0.0, budget=0.0))


class Renewal:
    """Gives one token after the other, and counts."""

    def __init__(self, *tokens: str) -> None:
        self.left = list(tokens)

    def __call__(self) -> str:
        return self.left.pop(0)

    async def awaited(self) -> str:
        await asyncio.sleep(0)
        return self()


Renewing = Callable[[Server, str, Renewal], Any]


@pytest.fixture(params=["sync", "async"])
def renewing(request: pytest.FixtureRequest) -> Renewing:
    """Reads two times with a token and a way to renew it; gives what came, errors as they are."""

    def sync(server: Server, token: str, renewal: Renewal) -> Any:
        http = httpx.Client(transport=httpx.MockTransport(server))
        with Client("http://s", token=token, renew=renewal, retries=QUICK, http=http) as client:
            try:
                return [client.get_me() for _ in range(2)]
            except ApiError as error:
                return error

    def run_async(server: Server, token: str, renewal: Renewal) -> Any:
        async def go() -> Any:
            http = httpx.AsyncClient(transport=httpx.MockTransport(server))
            async with AsyncClient("http://s", token=token, renew=renewal.awaited, retries=QUICK, http=http) as client:
                try:
                    return await asyncio.gather(client.get_me(), client.get_me())
                except ApiError as error:
                    return error

        return asyncio.run(go())

    return sync if request.param == "sync" else run_async


def _bearers(server: Server) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in server.sent]


_OLD = {"none": lambda: "", "ending soon": lambda: _token(time.time() + 20), "ended": lambda: _token(1.0)}


@pytest.mark.parametrize("old", _OLD)
def test_a_token_is_renewed_before_it_ends(renewing: Renewing, old: str) -> None:
    fresh, server = _token(time.time() + 900), Server([httpx.Response(200, json={}) for _ in range(2)])
    assert renewing(server, _OLD[old](), Renewal(fresh)) == [{}, {}]
    assert _bearers(server) == [fresh, fresh]


def test_a_refused_token_is_renewed_once_and_the_call_sent_again(renewing: Renewing) -> None:
    good, revoked = httpx.Response(200, json={}), "no JWT"
    fresh = _token(time.time() + 900)

    class Picky(Server):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.sent.append(request)
            return good if request.headers["authorization"] == f"Bearer {fresh}" else problem(401, "UNAUTHENTICATED")

    server = Picky()
    assert renewing(server, revoked, Renewal(fresh)) == [{}, {}]
    assert _bearers(server).count(fresh) == 2


def test_a_token_is_never_renewed_twice_for_one_call(renewing: Renewing) -> None:
    renewal = Renewal(*(_token(time.time() + 900, str(number)) for number in range(9)))
    server = Server([problem(401, "UNAUTHENTICATED") for _ in range(9)])
    error = renewing(server, "no JWT", renewal)
    assert (error.status, error.tries) == (401, 2)
    assert len(server.sent) <= 4
    assert len(renewal.left) >= 7


@pytest.mark.parametrize(("token", "end"), [("a.b.c", math.inf), ("", math.inf), (_token(7.5), 7.5)])
def test_the_end_of_a_token(token: str, end: float) -> None:
    assert expires(token) == end
