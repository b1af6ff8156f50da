"""Envoy's messages are built from dicts, in a pool of their own, and only when somebody asks for one."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from souk.kernel.errors import ConfigurationError
from souk.mesh.envoy.messages import build, to_dict
from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, resource
from tests.mesh import envoy_resources as envoy


def test_a_dict_becomes_a_message_and_a_dict_again() -> None:
    content = {"name": "payment", "connect_timeout": "1s", "type": "EDS"}
    assert to_dict(build("envoy.config.cluster.v3.Cluster", content)) == content


def test_typed_configuration_is_found_in_the_pool() -> None:
    made = envoy.listener("outbound", Path("/run/in.sock"))
    assert b"envoy.extensions.filters.http.router.v3.Router" in made.body


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"nam": "payment"}, 'Cluster for Envoy: .*no field named "nam"'),
        ({"connect_timeout": "soon"}, "Cluster for Envoy: .*connect_timeout"),
        ({"metadata": {"typed_filter_metadata": {"x": {"@type": "type.googleapis.com/un.Known"}}}}, "un.Known"),
    ],
)
def test_what_is_no_such_message_is_refused_with_its_field(content: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        build("envoy.config.cluster.v3.Cluster", content)
    assert len(str(refused.value).splitlines()) == 1


def test_a_message_that_is_left_out_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"un\.Known"):
        build("un.Known", {})


@pytest.mark.parametrize(
    ("type_url", "content", "name"),
    [
        (CLUSTER, {"name": "c"}, "c"),
        (ENDPOINTS, {"cluster_name": "e"}, "e"),
        (LISTENER, {"name": "l"}, "l"),
        (ROUTES, {"name": "r"}, "r"),
        (SECRET, {"name": "s"}, "s"),
    ],
)
def test_a_resource_has_the_name_of_its_message(type_url: str, content: dict[str, str], name: str) -> None:
    assert resource(type_url, content).name == name
    assert resource(type_url, {"@type": type_url, **content}) == resource(type_url, content)


def test_a_cluster_awaits_the_endpoints_that_it_names() -> None:
    assert envoy.cluster("payment").awaits == ((ENDPOINTS, "payment"),)
    named = envoy.cluster("payment", eds_cluster_config={"eds_config": envoy.ADS, "service_name": "other"})
    assert named.awaits == ((ENDPOINTS, "other"),)
    assert resource(CLUSTER, {"name": "fixed", "type": "STATIC"}).awaits == ()


_VERSIONS = """
import sys
from souk.mesh.envoy.resource import LISTENER, resource
policies = {name: {"permissions": [{"any": True}], "principals": [{"any": True}]} for name in sys.argv[1:]}
rbac = {"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": {"policies": policies}}
filters = [{"name": "rbac", "typed_config": rbac}]
name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
manager = {"@type": f"type.googleapis.com/{name}", "stat_prefix": "x", "http_filters": filters}
chain = {"filters": [{"name": "m", "typed_config": manager}]}
print(resource(LISTENER, {"name": "l", "filter_chains": [chain]}).version)
"""


def test_a_version_depends_on_the_content_alone() -> None:
    names = [f"policy-{number}" for number in range(20)]
    found = set()
    for order in (names, names[::-1]):
        made = subprocess.run([sys.executable, "-c", _VERSIONS, *order], capture_output=True, text=True, check=True)
        found.add(made.stdout)
    assert len(found) == 1
    assert envoy.cluster("a").version != envoy.cluster("a", connect_timeout="2s").version


def test_the_pool_is_private_and_is_filled_when_it_is_needed() -> None:
    build("envoy.config.cluster.v3.Cluster", {})
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("envoy.config.cluster.v3.Cluster")
    code = (
        "import souk.mesh.xds.server; from souk.mesh.envoy import messages; print(messages.pool.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
