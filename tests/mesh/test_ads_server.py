"""The server around the streams: who may connect, and that it serves many at little cost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import h2.connection
import h2.events
import pytest

from souk.kernel.addresses import grpc_target, unix_address
from souk.kernel.errors import ConfigurationError
from souk.mesh.envoy import messages
from souk.mesh.envoy.bootstrap import TOKEN
from souk.mesh.envoy.resource import CLUSTER
from souk.mesh.xds.exchange import METHOD
from souk.mesh.xds.server import AdsServer
from souk.mesh.xds.snapshot import ResourceGroup, ResourceSnapshot
from tests.mesh import envoy_resources as envoy
from tests.mesh.conftest import GOOD_TOKEN, NODE

REQUEST = messages.message_class("envoy.service.discovery.v3.DeltaDiscoveryRequest")
RESPONSE = messages.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")

Connect = Callable[..., Any]


@pytest.fixture
async def connect(ads: AdsServer, control_plane_socket: Path) -> AsyncIterator[Connect]:
    """Opens a stream."""
    async with grpc.aio.insecure_channel(grpc_target(unix_address(control_plane_socket))) as channel:
        method = channel.stream_stream(METHOD, REQUEST.SerializeToString, RESPONSE.FromString)
        yield lambda *metadata: method(metadata=metadata)


def asks(node: str = NODE, **more: Any) -> Any:
    return REQUEST(node={"id": node, "cluster": "payment"}, type_url=CLUSTER, **more)


async def test_a_response_is_read_as_the_messages_it_is_made_of(ads: AdsServer, connect: Connect) -> None:
    made = envoy.cluster("payment")
    ads.publish({NODE: ResourceSnapshot(ResourceGroup([made]))})
    stream = connect((TOKEN, GOOD_TOKEN))
    await stream.write(asks())
    response = await stream.read()
    assert (response.type_url, len(response.resources), response.nonce != "") == (CLUSTER, 1, True)
    (found,) = response.resources
    assert (found.name, found.version, found.resource.type_url) == ("payment", made.version, CLUSTER)
    assert found.resource.value == made.body
    await stream.write(REQUEST(type_url=CLUSTER, response_nonce=response.nonce))
    assert (await ads.settled(NODE))[CLUSTER].held == {"payment": made.version}
    ads.publish({NODE: ResourceSnapshot()})
    assert list((await stream.read()).removed_resources) == ["payment"]


@pytest.mark.parametrize(
    ("node", "metadata"),
    [
        (NODE, ()),
        (NODE, ((TOKEN, "wrong"),)),
        (NODE, ((TOKEN, GOOD_TOKEN), (TOKEN, "wrong"))),
        ("another-1", ((TOKEN, GOOD_TOKEN),)),
        ("", ((TOKEN, GOOD_TOKEN),)),
    ],
    ids=["no token", "a wrong token", "two tokens", "of another node", "of no node"],
)
async def test_a_token_that_proves_nothing_is_refused(
    ads: AdsServer, connect: Connect, node: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    ads.publish({each: ResourceSnapshot(ResourceGroup([envoy.cluster("payment")])) for each in (NODE, node)})
    stream = connect(*metadata)
    await stream.write(asks(node))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.read()
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert ads.connected == frozenset()


async def test_a_sidecar_that_asks_for_what_is_not_served_is_refused(ads: AdsServer, connect: Connect) -> None:
    stream = connect((TOKEN, GOOD_TOKEN))
    await stream.write(asks())
    await stream.write(REQUEST(type_url="type.googleapis.com/another.Type"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        while await stream.read() is not grpc.aio.EOF:
            pass
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_later_stream_of_a_node_replaces_the_one_before(ads: AdsServer, connect: Connect) -> None:
    ads.publish({NODE: ResourceSnapshot(ResourceGroup([envoy.cluster("payment")]))})
    first, second = connect((TOKEN, GOOD_TOKEN)), connect((TOKEN, GOOD_TOKEN))
    await first.write(asks())
    await first.read()
    await second.write(asks())
    assert len((await second.read()).resources) == 1
    with pytest.raises(grpc.aio.AioRpcError) as replaced:
        await first.read()
    assert replaced.value.code() == grpc.StatusCode.ABORTED
    assert ads.connected == {NODE}


async def test_a_node_that_is_forgotten_is_disconnected(ads: AdsServer, connect: Connect) -> None:
    ads.publish({NODE: ResourceSnapshot()})
    stream = connect((TOKEN, GOOD_TOKEN))
    await stream.write(asks())
    await stream.read()
    ads.forget(NODE)
    with pytest.raises(grpc.aio.AioRpcError):
        await stream.read()
    assert ads.acknowledgements(NODE) == {}


async def test_a_sidecar_that_leaves_is_not_connected_any_more(ads: AdsServer, connect: Connect) -> None:
    ads.publish({NODE: ResourceSnapshot()})
    stream = connect((TOKEN, GOOD_TOKEN))
    await stream.write(asks())
    await stream.read()
    assert ads.connected == {NODE}
    stream.cancel()
    while ads.connected:
        await asyncio.sleep(0)


async def test_many_sidecars_share_what_is_the_same_for_all(control_plane_socket: Path) -> None:
    ads = AdsServer(lambda node, token: True)
    await ads.start(control_plane_socket)
    nodes = [f"payment-{number}" for number in range(50)]
    made = [envoy.cluster(f"service-{number}") for number in range(20)]
    shared = ResourceGroup(made)
    ads.publish({node: ResourceSnapshot(shared, ResourceGroup([envoy.cluster(node)])) for node in nodes})
    target = grpc_target(unix_address(control_plane_socket))
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            method = channel.stream_stream(METHOD, REQUEST.SerializeToString, RESPONSE.FromString)

            async def has_all(node: str) -> Any:
                stream = method(metadata=((TOKEN, "x"),))
                await stream.write(asks(node))
                response = await stream.read()
                await stream.write(REQUEST(type_url=CLUSTER, response_nonce=response.nonce))
                assert {each.name for each in response.resources} == {node, *(each.name for each in made)}
                return stream

            streams = await asyncio.gather(*(has_all(node) for node in nodes))
            await asyncio.gather(*(ads.settled(node) for node in nodes))
            changed = ResourceGroup([*made[1:], envoy.cluster("service-0", connect_timeout="9s")])
            ads.publish({node: ResourceSnapshot(changed, ResourceGroup([envoy.cluster(node)])) for node in nodes})
            updates = await asyncio.gather(*(stream.read() for stream in streams))
            assert {tuple(each.name for each in one.resources) for one in updates} == {("service-0",)}
    finally:
        await ads.stop()


async def test_pings_of_a_quiet_sidecar_do_not_end_its_connection(ads: AdsServer, control_plane_socket: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(control_plane_socket))
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    answered = 0
    while answered < 10:
        connection.ping(b"sidecars")
        writer.write(connection.data_to_send())
        found = connection.receive_data(await reader.read(65_536))
        assert not [each for each in found if isinstance(each, h2.events.ConnectionTerminated)]
        answered += sum(isinstance(each, h2.events.PingAckReceived) for each in found)
    writer.close()
    await writer.wait_closed()


async def test_the_socket_is_its_owners(ads: AdsServer, control_plane_socket: Path) -> None:
    assert oct(control_plane_socket.stat().st_mode & 0o777) == "0o600"
    assert oct(control_plane_socket.parent.stat().st_mode & 0o777) == "0o700"


async def test_a_path_that_is_too_long_is_one_line(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        await AdsServer(lambda *_: True).start(folder / ("x" * 200))
