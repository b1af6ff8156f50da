"""Which instances take the calls of a service with a canary, also while the baseline has none."""

import pytest

from souk.discovery.registry import Instance
from souk.mesh.envoy.clusters import load_assignments
from souk.mesh.policy.policy import CanarySplit, ServiceRules

OLD, NEW = (Instance("payment", f"payment-{name}", f"unix:/{name}", name) for name in ("v1", "v2"))


def taking_calls(canary: CanarySplit | None, *instances: Instance) -> dict[str, list[str]]:
    """Gives the addresses behind each cluster of Payment."""
    found = load_assignments("payment", ServiceRules(methods={}, canary=canary), instances)
    return {
        one["cluster_name"]: [
            each["endpoint"]["address"]["pipe"]["path"] for level in one["endpoints"] for each in level["lb_endpoints"]
        ]
        for one in found
    }


def test_the_baseline_is_all_other_instances() -> None:
    assert taking_calls(None, OLD, NEW) == {"payment": ["/v1", "/v2"]}
    assert taking_calls(CanarySplit("v2", 5.0), OLD, NEW) == {"payment": ["/v1"], "payment@v2": ["/v2"]}


@pytest.mark.parametrize(
    "canary",
    [
        pytest.param(CanarySplit("v2"), id="before its first share"),
        pytest.param(CanarySplit("v2", 50.0), id="in a step"),
        pytest.param(CanarySplit("v2", takes_calls=False), id="rolled back"),
    ],
)
def test_a_version_gets_no_calls_of_a_baseline_that_is_away(canary: CanarySplit) -> None:
    assert taking_calls(canary, NEW) == {"payment": [], "payment@v2": ["/v2"]}


def test_one_that_takes_every_call_answers_for_the_baseline_whose_place_it_takes() -> None:
    assert taking_calls(CanarySplit("v2", 100.0), NEW) == {"payment": ["/v2"], "payment@v2": ["/v2"]}
