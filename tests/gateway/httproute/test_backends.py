"""The Gateway API's conformance tests of HTTPRoute that concern backends, mirrors and limits of time."""

import asyncio
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from souk.gateway.routing.model import RoutesFileRefused
from tests.gateway.httproute.test_changes import MODIFIED, MODIFIES, TO_MODIFY, check


async def test_HTTPRouteWeight(site: Any) -> None:
    site.use("""
routes:
- rules:
  - backendRefs: [{name: v1, weight: 70}, {name: v2, weight: 30}, {name: v3, weight: 0}]
""")
    found = Counter([(await site.send("/")).json()["backend"] for _ in range(500)])
    assert found == {"v1": 350, "v2": 150}


async def test_HTTPRouteNoBackendRefs(site: Any) -> None:
    site.use("""
routes:
- rules:
  - matches: [{path: {type: Exact, value: /omitted-no-forward}}]
  - matches: [{path: {type: Exact, value: /empty-no-forward}}]
    backendRefs: []
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [v1]
""")
    await site.reaches("v1", "/forward")
    await site.reaches(500, "/omitted-no-forward")
    await site.reaches(500, "/empty-no-forward")


async def test_HTTPRouteInvalidNonExistentBackendRef(site: Any) -> None:
    """A controller takes the route and answers 500; here the file is refused, and says where."""
    site.use("routes: {/: v1}")
    with pytest.raises(RoutesFileRefused, match="there is no upstream 'nonexistent'"):
        site.use("routes: {/: nonexistent}")
    await site.reaches("v1", "/")


async def test_HTTPRouteInvalidBackendRefUnknownKind(site: Any) -> None:
    """As for a backend that does not exist."""
    with pytest.raises(RoutesFileRefused, match="kind must be one of Service, not 'NonExistent'"):
        site.use("routes: [{rules: [{backendRefs: [{group: core, kind: NonExistent, name: v1}]}]}]")


async def mirrored(site: Any, *names: str, count: int = 1) -> None:
    """Waits until these upstreams have so many requests: mirrors are sent beside the answer."""
    async with asyncio.timeout(30):
        while any(len(site.upstreams[name].received) < count for name in names):
            await asyncio.sleep(0.01)


async def _mirrors(site: Any, *names: str) -> None:
    refs = "\n".join(
        f"    - {{type: RequestMirror, requestMirror: {{backendRef: {{name: {name}}}}}}}" for name in names
    )
    site.use(f"""
routes:
- rules:
  - matches: [{{path: {{value: /mirror}}}}]
    filters:
{refs}
    backendRefs: [v1]
  - matches: [{{path: {{value: /mirror-and-modify-headers}}}}]
    filters:
    - {{type: RequestHeaderModifier, requestHeaderModifier: {MODIFIES}}}
{refs}
    backendRefs: [v1]
""")
    await site.reaches("v1", "/mirror?id=1", method="POST", body="body")
    await mirrored(site, *names)
    for name in names:
        (seen,) = site.upstreams[name].received
        assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/mirror?id=1", "body")
    seen = await site.reaches("v1", "/mirror-and-modify-headers", headers=TO_MODIFY)
    check(seen["headers"], MODIFIED)
    await mirrored(site, *names, count=2)


async def test_HTTPRouteRequestMirror(site: Any) -> None:
    await _mirrors(site, "v2")


async def test_HTTPRouteRequestMultipleMirrors(site: Any) -> None:
    await _mirrors(site, "v2", "v3")


async def test_HTTPRouteRequestPercentageMirror(site: Any) -> None:
    for part, expected in (
        ("percent: 20", 20),
        ("fraction: {numerator: 25, denominator: 50}", 50),
        ("percent: 35", 35),
    ):
        site.use(f"""
routes:
- rules:
  - filters: [{{type: RequestMirror, requestMirror: {{backendRef: {{name: v2}}, {part}}}}}]
    backendRefs: [v1]
""")
        site.upstreams["v2"].received.clear()
        for _ in range(100):
            await site.reaches("v1", "/percent-mirror")
        await mirrored(site, "v2", count=expected)
        await site.reaches("v1", "/percent-mirror")  # one more, so that one too many would have come
        assert len(site.upstreams["v2"].received) <= expected + 1


TIMEOUT = """
routes:
- rules:
  - {matches: [{path: {value: /limited}}], backendRefs: [v1], timeouts: {FIELD: 500ms}}
  - {matches: [{path: {value: /unlimited}}], backendRefs: [v1], timeouts: {FIELD: 0s}}
"""


async def _timeouts(site: Any, field: str) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def behave(request: dict[str, Any]) -> None:
        if "delay" in request["path"]:
            asked.set()
            await answers.wait()

    site.upstreams["v1"].behave = behave
    site.use(TIMEOUT.replace("FIELD", field))
    await site.reaches("v1", "/limited")
    await site.reaches(504, "/limited?delay")
    asked.clear()
    late = asyncio.create_task(site.reaches("v1", "/unlimited?delay"))
    await asked.wait()
    await asyncio.sleep(0.7)  # longer than the other limit
    assert not late.done()
    answers.set()
    await late


async def test_HTTPRouteTimeoutRequest(site: Any) -> None:
    await _timeouts(site, "request")


async def test_HTTPRouteTimeoutBackendRequest(site: Any) -> None:
    await _timeouts(site, "backendRequest")


def _failing(site: Any) -> None:
    """Has v3 fail as its query says: `succeedAfter` requests of one `uuid` are answered with `responseCode`."""
    tries: dict[str, int] = defaultdict(int)

    async def behave(request: dict[str, Any]) -> int | None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request["path"]).query).items()}
        tries[asked["uuid"]] += 1
        if tries[asked["uuid"]] > int(asked["succeedAfter"]):
            return None
        if "delayRetry" in asked:
            await asyncio.sleep(float(asked["delayRetry"]))
        return int(asked["responseCode"])

    site.upstreams["v3"].behave = behave


async def test_HTTPRouteRetry(site: Any) -> None:
    _failing(site)
    site.use("""
routes:
- rules:
  - matches: [{path: {value: /retry/code-500-attempts-3}}]
    retry: {codes: [500], attempts: 3}
    backendRefs: [v3]
  - matches: [{path: {value: /retry/code-all-attempts-2}}]
    retry: {codes: [500, 502, 503, 504], attempts: 2}
    backendRefs: [v3]
""")
    cases = [("code-500-attempts-3", 500, 2, 200), ("code-500-attempts-3", 500, 4, 500),
             ("code-500-attempts-3", 503, 2, 503)]  # fmt: skip
    for code in (500, 502, 503, 504):
        cases += [("code-all-attempts-2", code, 1, 200), ("code-all-attempts-2", code, 3, code)]
    for number, (path, code, after, status) in enumerate(cases):
        answer = await site.send(f"/retry/{path}?responseCode={code}&succeedAfter={after}&uuid={number}")
        assert answer.status_code == status, (path, code, after)


@pytest.mark.full
async def test_HTTPRouteRetryWithTimeouts(site: Any) -> None:
    _failing(site)
    site.use("""
routes:
- rules:
  - matches: [{path: {value: /backend-request}}]
    retry: {attempts: 2}
    timeouts: {backendRequest: 200ms}
    backendRefs: [v3]
  - matches: [{path: {value: /request}}]
    retry: {codes: [500], attempts: 5}
    timeouts: {backendRequest: 1s, request: 2s}
    backendRefs: [v3]
""")
    for number, (path, after, delay, status) in enumerate(
        (
            ("/backend-request", 2, 2.0, 200),
            ("/backend-request", 3, 2.0, 504),
            ("/request", 1, 0.0, 200),
            ("/request", 4, 0.9, 504),
        )
    ):
        query = f"responseCode=500&succeedAfter={after}&delayRetry={delay}&uuid=t{number}"
        answer = await site.send(f"{path}?{query}")
        assert answer.status_code == status, (path, after)


async def _cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]) -> None:
    """Ends a connection without an answer, `left[0]` times; then answers."""
    await reader.readuntil(b"\r\n\r\n")
    if left[0] > 0:
        left[0] -= 1
    else:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    writer.close()


async def test_HTTPRouteRetryConnectionError(site: Any) -> None:
    """The answer of a failure is 502 here (RFC 9110, 15.6.3)."""
    left = [0]
    server = await asyncio.start_server(lambda reader, writer: _cut_off(reader, writer, left), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for failures, status in ((2, 200), (4, 502)):
            site.use(f"routes: {{/retry: {{retry: {{attempts: 3}}, backendRefs: ['http://127.0.0.1:{port}']}}}}")
            left[0] = failures
            assert (await site.send("/retry/no-status-code-attempts-3")).status_code == status
            assert left[0] == 0


async def _echo_frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A WebSocket server (RFC 6455) that sends each short text back."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    key = next(line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("sec-websocket-key"))
    assert "upgrade: websocket" in head
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n")
    writer.write(f"sec-websocket-accept: for {key}\r\n\r\n".encode())
    with suppress(asyncio.IncompleteReadError):
        while True:
            first, length = await reader.readexactly(2)
            assert (first, length & 0x80) == (0x81, 0x80)
            mask = await reader.readexactly(4)
            text = bytes(
                octet ^ mask[number % 4] for number, octet in enumerate(await reader.readexactly(length & 0x7F))
            )
            writer.write(bytes([0x81, len(text)]) + text)
    writer.close()


async def test_HTTPRouteBackendProtocolWebSocket(site: Any) -> None:
    server = await asyncio.start_server(_echo_frames, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        site.use(f"routes: {{/ws: 'http://127.0.0.1:{port}'}}")
        address = urlsplit(site.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: Abc=\r\n\r\n"
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 101 ")
        assert "sec-websocket-accept: for abc=" in head
        for text in (b"websockets", b"", b"again"):
            writer.write(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)
            assert await reader.readexactly(2 + len(text)) == bytes([0x81, len(text)]) + text
        writer.close()


async def test_HTTPRouteBackendProtocolH2C(site: Any) -> None:
    """The Service says there that its port speaks `kubernetes.io/h2c`; here the upstream says `protocol: h2`."""
    url = site.upstreams["v1"].url
    site.apply(f"upstreams: {{h2c: {{urls: [{url}], protocol: h2}}, http1: {url}}}\nroutes: {{/: h2c, /old: http1}}")
    assert (await site.reaches("v1", "/"))["http"] == "2"
    assert (await site.reaches("v1", "/old"))["http"] == "1.1"
