"""What a sidecar is sent: only what it wants and has not, in an order in which nothing points to what is missing."""

from dataclasses import replace

import pytest

from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, Resource
from souk.mesh.xds import delta_stream, subscription
from souk.mesh.xds.delta_stream import DeltaStream
from souk.mesh.xds.exchange import ALL, DeltaRequest, DeltaResponse, SidecarRefused
from souk.mesh.xds.snapshot import ResourceGroup, ResourceSnapshot
from souk.mesh.xds.subscription import Rejection
from tests.mesh.model_sidecar import resource


def snapshot(*resources: Resource) -> ResourceSnapshot:
    return ResourceSnapshot(ResourceGroup(resources))


def cluster(name: str, version: str) -> Resource:
    return resource(CLUSTER, name, version, ((ENDPOINTS, name),))


def asks(type_url: str, *names: str, has: dict[str, str] | None = None) -> DeltaRequest:
    return DeltaRequest(type_url, subscribe=frozenset(names), initial_versions=has or {})


def opened(*resources: Resource) -> DeltaStream:
    stream = DeltaStream()
    stream.replace(snapshot(*resources))
    return stream


def sent(stream: DeltaStream) -> DeltaResponse:
    response = stream.response()
    assert response is not None
    return response


def names(response: DeltaResponse) -> list[str]:
    return [each.name for each in response.resources]


def taken(stream: DeltaStream, error: str | None = None) -> DeltaResponse:
    """Takes the next response, or rejects it for an error."""
    response = sent(stream)
    stream.receive(DeltaRequest(response.type_url, nonce=response.nonce, error=error))
    return response


def test_the_wildcard_gets_all_and_then_only_what_changes() -> None:
    stream = opened(cluster("a", "1"), cluster("b", "1"))
    stream.receive(asks(CLUSTER))
    assert names(taken(stream)) == ["a", "b"]
    assert stream.at_rest
    stream.replace(snapshot(cluster("a", "1"), cluster("b", "2"), cluster("c", "1")))
    assert not stream.at_rest
    assert names(taken(stream)) == ["b", "c"]
    assert stream.response() is None
    assert stream.acknowledgements()[CLUSTER].held == {"a": "1", "b": "2", "c": "1"}


def test_the_wildcard_is_answered_even_when_there_is_nothing() -> None:
    stream = opened()
    stream.receive(asks(CLUSTER))
    response = taken(stream)
    assert response == DeltaResponse(CLUSTER, response.nonce)
    assert stream.response() is None


def test_a_name_gets_its_resource_and_learns_when_there_is_none() -> None:
    stream = opened(resource(ENDPOINTS, "a", "1"), resource(ENDPOINTS, "b", "1"))
    stream.receive(asks(ENDPOINTS, "a", "x"))
    response = taken(stream)
    assert (names(response), response.removed) == (["a"], ("x",))
    stream.replace(snapshot(resource(ENDPOINTS, "a", "1"), resource(ENDPOINTS, "x", "1")))
    assert names(taken(stream)) == ["x"]


def test_nothing_is_sent_again_to_a_sidecar_that_comes_back() -> None:
    stream = opened(cluster("a", "1"), resource(ENDPOINTS, "a", "2"), resource(ENDPOINTS, "b", "1"))
    stream.receive(asks(CLUSTER, has={"a": "1"}))
    stream.receive(asks(ENDPOINTS, "a", "b", has={"a": "1", "b": "1"}))
    assert names(taken(stream)) == ["a"]
    assert stream.response() is None


def test_a_sidecar_that_comes_back_loses_what_is_gone() -> None:
    stream = opened(cluster("a", "1"))
    stream.receive(asks(CLUSTER, ALL, has={"a": "1", "gone": "1"}))
    assert taken(stream).removed == ("gone",)


def test_a_sidecar_keeps_what_it_has_while_the_control_plane_knows_nothing() -> None:
    stream = DeltaStream()
    stream.receive(asks(CLUSTER, has={"a": "1"}))
    assert stream.response() is None
    assert not stream.at_rest
    stream.replace(snapshot(cluster("a", "1")))
    assert stream.response() is None
    assert stream.at_rest


def test_a_name_that_is_asked_for_again_is_sent_again() -> None:
    stream = opened(resource(ENDPOINTS, "a", "1"))
    stream.receive(asks(ENDPOINTS, "a"))
    taken(stream)
    stream.receive(asks(ENDPOINTS, "a"))
    assert names(taken(stream)) == ["a"]


def test_what_is_not_wanted_any_more_is_not_sent() -> None:
    stream = opened(resource(ENDPOINTS, "a", "1"))
    stream.receive(asks(ENDPOINTS, "a"))
    taken(stream)
    stream.receive(DeltaRequest(ENDPOINTS, unsubscribe=frozenset({"a", "never wanted"})))
    stream.replace(snapshot(resource(ENDPOINTS, "a", "2")))
    assert stream.response() is None
    assert stream.acknowledgements()[ENDPOINTS].held == {}


def test_a_name_that_is_left_to_the_wildcard_is_answered() -> None:
    stream = opened(cluster("a", "1"))
    stream.receive(asks(CLUSTER, ALL, "a", "x"))
    taken(stream)
    stream.receive(DeltaRequest(CLUSTER, unsubscribe=frozenset({"a", "x"})))
    response = taken(stream)
    assert (names(response), response.removed) == (["a"], ("x",))


def test_one_response_of_a_type_is_outstanding_and_the_next_has_the_newest() -> None:
    stream = opened(cluster("a", "1"))
    stream.receive(asks(CLUSTER))
    first = sent(stream)
    for version in ("2", "3", "4"):
        stream.replace(snapshot(cluster("a", version)))
        assert stream.response() is None
    stream.receive(DeltaRequest(CLUSTER, nonce=first.nonce))
    assert [each.version for each in taken(stream).resources] == ["4"]


def test_the_nonce_of_another_response_acknowledges_nothing() -> None:
    stream = opened(cluster("a", "1"))
    stream.receive(asks(CLUSTER))
    sent(stream)
    stream.receive(DeltaRequest(CLUSTER, nonce="another"))
    assert stream.acknowledgements()[CLUSTER].held == {}
    assert stream.response() is None


ALL_TYPES = (
    cluster("new", "1"),
    resource(SECRET, "s", "1"),
    resource(ENDPOINTS, "new", "1"),
    resource(LISTENER, "l", "1"),
    resource(ROUTES, "r", "1"),
)


def asking_for_all(*resources: Resource) -> DeltaStream:
    stream = opened(*resources)
    for type_url in (ROUTES, LISTENER, ENDPOINTS, SECRET, CLUSTER):
        stream.receive(asks(type_url, ALL))
    return stream


def test_types_are_sent_in_their_order() -> None:
    stream = asking_for_all(*ALL_TYPES)
    assert [taken(stream).type_url for _ in ALL_TYPES] == [CLUSTER, ENDPOINTS, SECRET, LISTENER, ROUTES]


def test_listeners_and_routes_wait_until_clusters_endpoints_and_secrets_are_taken() -> None:
    stream = asking_for_all(*ALL_TYPES)
    first = [sent(stream) for _ in range(3)]
    assert [each.type_url for each in first] == [CLUSTER, ENDPOINTS, SECRET], "a cluster is taken when it has endpoints"
    for each in reversed(first):
        assert stream.response() is None
        stream.receive(DeltaRequest(each.type_url, nonce=each.nonce))
    assert [sent(stream).type_url, sent(stream).type_url] == [LISTENER, ROUTES]


def test_what_is_removed_goes_last_and_in_the_opposite_order() -> None:
    stream = asking_for_all(*ALL_TYPES)
    while not stream.at_rest:
        taken(stream)
    stream.replace(snapshot(resource(CLUSTER, "newer", "1"), resource(ROUTES, "r", "2")))
    order = []
    while not stream.at_rest:
        response = taken(stream)
        order.append((response.type_url, names(response), list(response.removed)))
    assert order == [
        (CLUSTER, ["newer"], []),
        (ROUTES, ["r"], []),
        (LISTENER, [], ["l"]),
        (CLUSTER, [], ["new"]),
        (ENDPOINTS, [], ["new"]),
        (SECRET, [], ["s"]),
    ]


def test_a_cluster_that_changes_is_followed_by_its_endpoints() -> None:
    ends = resource(ENDPOINTS, "a", "1")
    stream = opened(cluster("a", "1"), cluster("b", "1"), ends, resource(ENDPOINTS, "b", "1"))
    stream.receive(asks(CLUSTER, has={"a": "1", "b": "1"}))
    stream.receive(asks(ENDPOINTS, "a", "b", has={"a": "1", "b": "1"}))
    stream.replace(snapshot(cluster("a", "2"), cluster("b", "1"), ends, resource(ENDPOINTS, "b", "1")))
    assert names(taken(stream)) == ["a"]
    followed = taken(stream)
    assert (followed.type_url, names(followed)) == (ENDPOINTS, ["a"])
    assert stream.response() is None


def test_endpoints_follow_a_cluster_that_changed_while_the_sidecar_was_away() -> None:
    stream = opened(cluster("a", "2"), resource(ENDPOINTS, "a", "1"))
    stream.receive(asks(CLUSTER, has={"a": "1"}))
    assert names(sent(stream)) == ["a"]
    stream.receive(asks(ENDPOINTS, "a", has={"a": "1"}))
    assert names(sent(stream)) == ["a"]


def test_a_rejected_response_is_divided_until_one_is_to_blame() -> None:
    stream = opened(*(cluster(name, "1") for name in "abcdefgh"))
    stream.receive(asks(CLUSTER))
    tried = []
    while (response := stream.response()) is not None:
        tried.append("".join(names(response)))
        stream.receive(DeltaRequest(CLUSTER, nonce=response.nonce, error="f!" if "f" in tried[-1] else None))
    assert tried == ["abcdefgh", "abcd", "efgh", "ef", "e", "f", "gh"]
    known = stream.acknowledgements()[CLUSTER]
    assert known.held == dict.fromkeys("abcdegh", "1")
    assert known.rejections == (Rejection("f", "1", "f!"),)
    assert stream.at_rest


def test_what_was_asked_for_is_still_answered_when_the_response_with_it_is_divided() -> None:
    stream = opened(resource(ENDPOINTS, "bad", "1"))
    stream.receive(asks(ENDPOINTS, "bad", "missing"))
    taken(stream, error="no")
    assert names(taken(stream, error="no")) == ["bad"]
    assert taken(stream).removed == ("missing",)


def test_a_rejected_version_is_not_sent_again_and_the_next_one_is() -> None:
    stream = opened(cluster("a", "1"))
    stream.receive(asks(CLUSTER))
    taken(stream)
    stream.replace(snapshot(cluster("a", "2")))
    taken(stream, error="no")
    stream.replace(snapshot(cluster("a", "2"), cluster("b", "1")))
    assert names(taken(stream)) == ["b"]
    assert stream.response() is None
    assert stream.acknowledgements()[CLUSTER].held["a"] == "1"
    stream.replace(snapshot(cluster("a", "3"), cluster("b", "1")))
    assert names(taken(stream)) == ["a"]
    assert stream.acknowledgements()[CLUSTER].rejections == ()


def test_a_rejection_ends_when_the_version_before_comes_back() -> None:
    stream = opened(cluster("a", "1"))
    stream.receive(asks(CLUSTER))
    taken(stream)
    stream.replace(snapshot(cluster("a", "2")))
    taken(stream, error="no")
    stream.replace(snapshot(cluster("a", "1")))
    assert stream.response() is None
    assert stream.acknowledgements()[CLUSTER].rejections == ()


def test_a_rejection_outlives_the_connection_but_not_the_sidecar() -> None:
    rejections: dict[str, dict[str, Rejection]] = {}
    first = DeltaStream(rejections)
    first.replace(snapshot(cluster("a", "2")))
    first.receive(asks(CLUSTER, has={"a": "1"}))
    taken(first, error="no")
    again = DeltaStream(rejections)
    again.replace(snapshot(cluster("a", "2")))
    again.receive(asks(CLUSTER, has={"a": "1"}))
    assert again.response() is None
    assert again.acknowledgements()[CLUSTER].rejections == (Rejection("a", "2", "no"),)
    anew = DeltaStream(rejections)
    anew.replace(snapshot(cluster("a", "2")))
    anew.receive(asks(CLUSTER))
    assert names(sent(anew)) == ["a"]


def test_a_long_error_is_cut() -> None:
    stream = opened(cluster("a", "1"))
    stream.receive(asks(CLUSTER))
    taken(stream, error="x" * 100_000)
    (rejection,) = stream.acknowledgements()[CLUSTER].rejections
    assert len(rejection.error) == subscription.LONGEST_ERROR


def test_a_large_update_comes_in_several_responses() -> None:
    big = [replace(cluster(name, "1"), body=b"x" * (subscription.MOST_BYTES // 2)) for name in "abcde"]
    stream = opened(*big, resource(LISTENER, "l", "1"))
    stream.receive(asks(CLUSTER))
    stream.receive(asks(LISTENER))
    assert [names(taken(stream)) for _ in range(4)] == [["a", "b"], ["c", "d"], ["e"], ["l"]]


@pytest.mark.parametrize(
    "request_",
    [
        asks(CLUSTER, *(str(number) for number in range(delta_stream.MOST_NAMES + 1))),
        asks(CLUSTER, "x" * (delta_stream.LONGEST_NAME + 1)),
        asks(CLUSTER, has={"a": "x" * (delta_stream.LONGEST_NAME + 1)}),
        asks("type.googleapis.com/another.Type"),
    ],
    ids=["too many names", "a long name", "a long version", "an unknown type"],
)
def test_a_sidecar_cannot_fill_the_memory(request_: DeltaRequest) -> None:
    with pytest.raises(SidecarRefused):
        opened().receive(request_)


def test_groups_that_many_share_are_compared_once() -> None:
    old, new = (ResourceGroup([cluster("a", version)]) for version in "12")
    own = ResourceGroup([resource(LISTENER, "mine", "1")])
    changes = ResourceSnapshot(new, own).changes_since(ResourceSnapshot(old, own))
    assert changes == {CLUSTER: {"a"}}
    assert new.changes_since(old) is new.changes_since(old)


def test_the_later_group_counts() -> None:
    both = ResourceSnapshot(ResourceGroup([cluster("a", "1")]), ResourceGroup([cluster("a", "2")]))
    assert both.find(CLUSTER, "a") == cluster("a", "2")
    assert both.names(CLUSTER) == {"a"}
