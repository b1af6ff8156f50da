"""What each target can say is one table: docs/mesh.md shows it, and refusals come from it.

`python tests/mesh/export/test_targets.py` writes the table anew.
"""

from pathlib import Path

import pytest

from marketplace.app.app import app
from souk.mesh.export.features import Feature, used
from souk.mesh.export.targets import SUPPORT, MeshTarget, Unsupported, refusals, table
from souk.mesh.policy.reading import parse_policy

PAGE = Path(__file__).resolve().parents[3] / "docs" / "mesh.md"
BEGIN, END = "<!-- the table of features -->\n", "<!-- its end -->\n"

NOTHING = "defaults: {tries: none, limits: none, ejection: none, timeout: none, try_timeout: none}\n"
USES = {
    Feature.TIMEOUT: "defaults: {tries: none, limits: none, ejection: none, try_timeout: none}\n",
    Feature.TRY_TIMEOUT: "defaults: {tries: none, limits: none, ejection: none, try_timeout: 1s}\n",
    Feature.TRIES: "defaults: {tries: {on: [unavailable], budget: none, backoff: none}, limits: none}\n",
    Feature.BACKOFF: "defaults: {tries: {on: [unavailable], budget: none}, limits: none, ejection: none}\n",
    Feature.BUDGET: "defaults: {tries: {on: [unavailable], backoff: none}, limits: none, ejection: none}\n",
    Feature.EJECTION: "defaults: {tries: none, limits: none, ejection: {most: 100%}}\n",
    Feature.CONNECTIONS: "defaults: {tries: none, limits: {connections: 1, requests: none, pending: none}}\n",
    Feature.REQUESTS: "defaults: {tries: none, limits: {requests: 1, pending: none}}\n",
    Feature.PENDING: "defaults: {tries: none, limits: {requests: none, pending: 1}}\n",
    Feature.OWN_LIMITS: NOTHING + "services: {product: {methods: {SearchProducts: {limits: {requests: 1}}}}}\n",
    Feature.WEIGHTS: NOTHING + "services: {product: {split: {weights: {v1: 100}}}}\n",
    Feature.HEADERS: NOTHING + "services: {product: {split: {headers: [{name: a, value: b, version: v2}]}}}\n",
    Feature.MIRROR: NOTHING + "services: {product: {mirror: {version: v2}}}\n",
    Feature.DELAY: NOTHING + "services: {product: {faults: {delay: {share: 1%, for: 1s}}}}\n",
    Feature.ABORT: NOTHING + "services: {product: {faults: {abort: {share: 1%, code: INTERNAL}}}}\n",
    Feature.LOCALITY: "defaults: {tries: none, limits: none, locality: {prefer: zone}}\n",
    Feature.ENOUGH: "defaults: {tries: none, limits: none, locality: {prefer: zone, enough: 50%}}\n",
}


def refused(text: str, target: MeshTarget) -> dict[Feature, str]:
    return {one.feature: str(one) for one in refusals(parse_policy(text, app.services), target)}


def test_every_target_has_an_answer_for_every_feature() -> None:
    assert {target: set(SUPPORT[target]) for target in MeshTarget} == {target: set(Feature) for target in MeshTarget}


@pytest.mark.parametrize("feature", USES)
def test_what_a_policy_uses_is_found(feature: Feature) -> None:
    assert feature in {use.feature for use in used(parse_policy(USES[feature], app.services))}


def test_a_policy_that_switches_everything_off_uses_nothing() -> None:
    assert list(used(parse_policy(NOTHING, app.services))) == []


@pytest.mark.parametrize("target", MeshTarget)
@pytest.mark.parametrize("feature", USES)
def test_a_feature_is_refused_exactly_where_the_table_says_so(feature: Feature, target: MeshTarget) -> None:
    assert (feature in refused(USES[feature], target)) is isinstance(SUPPORT[target][feature], Unsupported)


@pytest.mark.parametrize(
    ("target", "feature", "text", "why"),
    [
        (MeshTarget.ISTIO, Feature.ON, "", "it cannot name aborted, unknown; write `on: [not-sent, lost, unavailable"),
        (
            MeshTarget.LINKERD,
            Feature.ON,
            "defaults: {tries: {on: [not-sent]}}",
            "it cannot name not-sent; write `on: [",
        ),
        (
            MeshTarget.ISTIO,
            Feature.BACKOFF,
            "defaults: {tries: {attempts: 9}}",
            "waits grow up to 10 times the first one",
        ),
        (MeshTarget.ISTIO, Feature.LONGEST, "defaults: {ejection: {longest: 60s}}", "write `longest: 300s`"),
        (MeshTarget.ISTIO, Feature.MOST, "defaults: {ejection: {most: 12.5%}}", "it takes whole percents"),
        (MeshTarget.LINKERD, Feature.MOST, "", "write `most: 100%`"),
        (
            MeshTarget.ISTIO,
            Feature.ABORT,
            "services: {product: {methods: {GetProduct: {faults: {abort: {share: 1%, code: INTERNAL}}}}}}",
            "it switches time-outs and tries off where it injects faults",
        ),
        (
            MeshTarget.ISTIO,
            Feature.LOCALITY,
            "defaults: {ejection: none, locality: {prefer: zone}}",
            "it needs ejection to know which instances of the zone are well",
        ),
    ],
)
def test_a_value_that_a_target_cannot_say_is_refused(target: MeshTarget, feature: Feature, text: str, why: str) -> None:
    assert why in refused(text, target)[feature]


def test_few_attempts_reach_no_wait_that_istio_cannot_say() -> None:
    assert Feature.BACKOFF not in refused("defaults: {tries: {attempts: 5}}", MeshTarget.ISTIO)


def test_the_page_has_the_table() -> None:
    assert "".join(f"{line}\n" for line in table()) == PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + "".join(f"{line}\n" for line in table()) + END + rest.partition(END)[2])
