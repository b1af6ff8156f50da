"""Whatever happens on the way, a sidecar at rest has exactly what it is to have, but for what it has rejected."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER
from souk.mesh.xds.delta_stream import STAGES, DeltaStream
from souk.mesh.xds.exchange import ALL, DeltaRequest, DeltaResponse
from souk.mesh.xds.snapshot import ResourceGroup, ResourceSnapshot
from souk.mesh.xds.subscription import Rejection
from tests.mesh.model_sidecar import BAD, TYPES, ModelSidecar, resource
from tests.properties import examples

NAMES = ("a", "b", "c", "d")
ANY_TYPE, ANY_NAME = st.sampled_from(TYPES), st.sampled_from(NAMES)
STAGE = {type_url: number for number, types in enumerate(STAGES) for type_url in types}


class DeltaModel(RuleBasedStateMachine):
    """A stream and a sidecar, with messages of either that are still on their way."""

    def __init__(self) -> None:
        super().__init__()
        self.rejections: dict[str, dict[str, Rejection]] = {}
        self.sidecar = ModelSidecar()
        self.versions: dict[tuple[str, str], str] = {}
        self.withheld: set[tuple[str, str]] = set()
        self.changes = 0
        self.snapshot: ResourceSnapshot | None = None
        self.shared = ResourceGroup()

    @initialize(published=st.booleans())
    def begin(self, published: bool) -> None:
        self.stream = DeltaStream(self.rejections)
        self.requests: deque[DeltaRequest] = deque()
        self.responses: deque[DeltaResponse] = deque()
        self.outstanding: set[str] = set()
        self.requests.extend(self.sidecar.subscribe(type_url) for type_url in (CLUSTER, LISTENER))
        if published:
            self._publish()

    @rule(type_url=ANY_TYPE, name=ANY_NAME, bad=st.sampled_from((False, False, True)), shared=st.booleans())
    def change(self, type_url: str, name: str, bad: bool, shared: bool) -> None:
        self.changes += 1
        self.versions[type_url, name] = f"{BAD if bad else 'good'}{self.changes}"
        self._publish(shared)

    @rule(type_url=ANY_TYPE, name=ANY_NAME)
    def remove(self, type_url: str, name: str) -> None:
        self.versions.pop((type_url, name), None)
        self._publish()

    @rule(type_url=ANY_TYPE, name=ANY_NAME)
    def withhold(self, type_url: str, name: str) -> None:
        self.withheld.add((type_url, name))
        self._publish()

    @precondition(lambda self: self.withheld)
    @rule(changed=st.booleans())
    def disclose(self, changed: bool) -> None:
        for type_url, name in self.withheld if changed else ():
            self.versions.pop((type_url, name), None)
        self.withheld.clear()
        self._publish()

    @rule(type_url=ANY_TYPE, name=st.sampled_from((*NAMES, ALL)))
    def subscribe(self, type_url: str, name: str) -> None:
        self.requests.append(self.sidecar.subscribe(type_url, name))

    @precondition(lambda self: self.sidecar.begun)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        type_url = data.draw(st.sampled_from(sorted(self.sidecar.begun)))
        self.requests.append(self.sidecar.unsubscribe(type_url, data.draw(st.sampled_from((*NAMES, ALL)))))

    @precondition(lambda self: self.requests)
    @rule()
    def request_arrives(self) -> None:
        request = self.requests.popleft()
        if request.nonce:
            self.outstanding.discard(request.type_url)
        self.stream.receive(request)

    @rule()
    def response_is_sent(self) -> None:
        self._send()

    def _send(self) -> bool:
        response = self.stream.response()
        if response is None:
            return False
        assert response.type_url not in self.outstanding, "two responses of a type are outstanding"
        earlier = {type_url for type_url in self.outstanding if STAGE[type_url] < STAGE[response.type_url]}
        assert not earlier, "something was sent before what it may point to was taken"
        named = {one.name for one in response.resources} | set(response.removed)
        assert not [name for name in named if (response.type_url, name) in self.withheld], "it says what is not known"
        self.outstanding.add(response.type_url)
        self.responses.append(response)
        return True

    @precondition(lambda self: self.responses)
    @rule(capricious=st.sampled_from((False, False, False, True)))
    def response_arrives(self, capricious: bool = False) -> None:
        self.requests.append(self.sidecar.take(self.responses.popleft(), capricious=capricious))

    @rule(control_plane_too=st.booleans())
    def reconnect(self, control_plane_too: bool) -> None:
        if control_plane_too:  # it has forgotten everything
            self.rejections = {}
        self.stream = DeltaStream(self.rejections)
        if self.snapshot is not None:
            self.stream.replace(self.snapshot)
        self.outstanding.clear()
        self.responses.clear()
        self.requests = deque(self.sidecar.reconnect())

    @rule()
    def come_to_rest(self) -> None:
        steps = 0
        while self.requests or self.responses or self._send():
            steps += 1
            assert steps < 1_000, "it never comes to rest"
            if self.requests:
                self.request_arrives()
            elif self.responses:
                self.response_arrives()
        if self.snapshot is not None:
            assert self.stream.at_rest == bool(self.sidecar.begun), "only who has asked for something is at rest"
            self._compare()

    def teardown(self) -> None:
        if hasattr(self, "stream"):
            self.come_to_rest()

    def _compare(self) -> None:
        for type_url, each in self.sidecar.types.items():
            wanted = {name for name in NAMES if each.wants(name)}
            hidden = {name for name in NAMES if (type_url, name) in self.withheld}
            for name in (wanted | each.held.keys()) - hidden:
                target = self.versions.get((type_url, name)) if name in wanted else None
                if name in each.rejected and each.rejected[name] == target:
                    continue
                assert each.held.get(name) == target, (type_url, name)
            known = self.stream.acknowledgements().get(type_url)
            if known is not None:
                assert known.held == each.held
                # A rejection of what the sidecar has already may be lost with its stream: nothing is due then.
                found = {one.name: one.version for one in known.rejections if one.name not in hidden}
                assert {name: version for name, version in found.items() if each.held.get(name) != version} == {
                    name: version
                    for name, version in each.rejected.items()
                    if version == self.versions.get((type_url, name)) and each.held.get(name) != version
                    if name not in hidden
                }

    def _publish(self, shared: bool = False) -> None:
        """Makes a snapshot of a group that all share, which is kept while it does not change, and one of its own."""
        made = [
            resource(type_url, name, version, ((ENDPOINTS, name),) if type_url == CLUSTER else ())
            for (type_url, name), version in self.versions.items()
            if (type_url, name) not in self.withheld
        ]
        if shared:
            self.shared = ResourceGroup(made)
        kept = [one for one in made if self.shared.of_type(one.type_url).get(one.name) != one]
        gone = any(
            (type_url, name) not in self.versions or (type_url, name) in self.withheld
            for type_url in TYPES
            for name in self.shared.of_type(type_url)
        )
        if gone:
            self.shared, kept = ResourceGroup(), made
        withheld = {type_url: frozenset(name for of, name in self.withheld if of == type_url) for type_url in TYPES}
        self.snapshot = ResourceSnapshot(self.shared, ResourceGroup(kept), withheld=withheld)
        self.stream.replace(self.snapshot)


TestDeltaModel = DeltaModel.TestCase
TestDeltaModel.settings = settings(max_examples=examples(500), stateful_step_count=60, deadline=None)
