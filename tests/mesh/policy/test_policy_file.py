"""The policy file is read whole: what it says over what contracts and layers say, or all that is wrong with it."""

import grpc
import pytest

from marketplace.app.app import app
from souk.descriptors.contract import contract_of
from souk.mesh.policy.methods import methods_of
from souk.mesh.policy.policy import (
    AbortedCalls,
    CallLimits,
    DelayedCalls,
    HeaderRule,
    Locality,
    MeshPolicy,
    MethodRules,
    MirroredCalls,
    RetryOn,
    TryBudget,
    VersionSplit,
)
from souk.mesh.policy.reading import MeshPolicyRefused, default_policy, parse_policy
from souk.resilience.balancer import EjectionSettings
from souk.resilience.retry import RetrySettings
from souk.runtime.config.resilience import Protection
from souk.testing.processes import run

CHARGE = "/shop.payment.v1.PaymentService/Charge"
GET_PRODUCT = "/shop.product.v1.ProductService/GetProduct"
SEARCH = "/shop.product.v1.ProductService/SearchProducts"
CREATE_PRODUCT = "/shop.product.v1.ProductService/CreateProduct"


def policy(text: str) -> MeshPolicy:
    return parse_policy(text, app.services)


def rules(text: str, service: str, method: str) -> MethodRules:
    return policy(text).services[service].methods[method]


def findings(text: str) -> list[str]:
    with pytest.raises(MeshPolicyRefused) as refused:
        policy(text)
    return str(refused.value).splitlines()


@pytest.mark.parametrize("service", app.services, ids=lambda service: service.name)
def test_without_a_file_it_is_what_contracts_and_layers_say(service: object) -> None:
    found = default_policy(app.services).services[service.name]  # type: ignore[attr-defined]  # a Service
    retry, protection, ejection = RetrySettings(), Protection(), EjectionSettings()
    assert found.limits == CallLimits(None, protection.running, protection.waiting)
    assert found.budget == TryBudget(retry.share, round(retry.per_second))
    assert found.ejection is not None
    given = (found.ejection.failures, found.ejection.ejected_for, found.ejection.longest, found.ejection.most)
    assert given == (ejection.failures, ejection.ejected_for.initial, ejection.ejected_for.cap, ejection.most)
    for name, method in methods_of(service).items():  # type: ignore[arg-type]
        one = found.methods[name]
        assert (one.timeout, one.try_timeout) == (method.policy.timeout, method.policy.try_timeout)
        harmless = method.idempotent or bool(method.policy.idempotency_field)
        assert (one.tries is not None) == harmless
        if one.tries is not None:
            assert (one.tries.attempts, one.tries.backoff) == (retry.tries, retry.backoff)
        assert (one.limits is not None) == method.policy.isolated
        assert (one.split, one.mirror, one.delay, one.abort) == (None, None, None, None)


def test_it_has_the_methods_of_the_platform_beside_those_of_the_contract() -> None:
    found = default_policy(app.services).services
    assert "/soukapi.v1.EventSink/Deliver" in found["notification"].methods
    assert "/soukapi.v1.EventSink/Deliver" not in found["user"].methods
    assert "/soukapi.v1.EventSource/Park" in found["order"].methods
    contract = next(contract_of(one.contract) for one in app.services if one.name == "order")
    assert contract.methods.keys() <= found["order"].methods.keys()


EVERYTHING = """
defaults:
  tries: {attempts: 2, on: [not-sent, unavailable], budget: {share: 12.5%, minimum: 1}, backoff: {initial: 10ms}}
  limits: {connections: 8}
services:
  product:
    timeout: 1s
    locality: {prefer: zone, enough: 40%}
    ejection: {failures: 3, for: 2s, longest: 1m, most: 25%}
    split:
      headers: [{name: X-Canary, value: "yes", version: v2}]
      weights: {v1: 90, v2: 10}
    methods:
      GetProduct:
        try_timeout: 400ms
        tries: {attempts: 3}
        mirror: {version: v2, share: 5%}
        faults:
          delay: {share: 1%, for: 250ms}
          abort: {share: 0.5%, code: UNAVAILABLE}
      SearchProducts: {limits: {requests: 4}, split: none}
      /shop.product.v1.ProductService/ListProducts: {tries: none, timeout: none}
"""


def test_a_method_begins_with_its_service_and_a_service_with_the_defaults() -> None:
    one = rules(EVERYTHING, "product", GET_PRODUCT)
    assert (one.timeout, one.try_timeout) == (1.0, 0.4)
    assert one.tries is not None
    assert one.tries.backoff is not None
    assert (one.tries.attempts, one.tries.on) == (3, frozenset({RetryOn.NOT_SENT, RetryOn.UNAVAILABLE}))
    assert (one.tries.backoff.initial, one.tries.backoff.cap) == (0.01, 1.0)
    assert one.split == VersionSplit((HeaderRule("x-canary", "yes", "v2"),), {"v1": 90, "v2": 10})
    assert one.mirror == MirroredCalls("v2", 0.05)
    assert one.delay == DelayedCalls(0.01, 0.25)
    assert one.abort == AbortedCalls(0.005, grpc.StatusCode.UNAVAILABLE)


def test_an_isolated_method_has_limits_of_its_own() -> None:
    found = policy(EVERYTHING).services["product"]
    assert found.methods[SEARCH].limits == CallLimits(8, 4, Protection().waiting)
    assert found.methods[SEARCH].split is None
    assert found.limits == CallLimits(8, Protection().running, Protection().waiting)


def test_what_concerns_instances_is_the_services() -> None:
    found = policy(EVERYTHING).services["product"]
    assert found.ejection is not None
    assert (found.ejection.failures, found.ejection.ejected_for, found.ejection.longest) == (3, 2.0, 60.0)
    assert (found.locality, found.budget, found.versions) == (Locality(0.4), TryBudget(0.125, 1), ("v1", "v2"))


def test_none_switches_off() -> None:
    listed = rules(EVERYTHING, "product", "/shop.product.v1.ProductService/ListProducts")
    assert (listed.tries, listed.timeout) == (None, None)
    off = policy("defaults: {limits: none, ejection: none, tries: {budget: none, backoff: none}}").services["order"]
    assert (off.limits, off.ejection, off.budget) == (None, None, None)
    tries = off.methods["/shop.order.v1.OrderService/GetOrder"].tries
    assert tries is not None
    assert tries.backoff is None


def test_a_service_gives_tries_only_to_methods_that_may_be_tried_again() -> None:
    text = "services: {product: {tries: {attempts: 5}, mirror: {version: v2}}}"
    assert rules(text, "product", CREATE_PRODUCT).tries is None
    assert rules(text, "product", CREATE_PRODUCT).mirror is None
    found = rules(text, "product", GET_PRODUCT)
    assert found.tries is not None
    assert (found.tries.attempts, found.mirror) == (5, MirroredCalls("v2", 1.0))


def test_times_of_a_service_shorten_those_of_contracts_and_never_lengthen_them() -> None:
    text = "services: {payment: {timeout: 4s}}"
    assert rules(text, "payment", CHARGE).timeout == 4.0
    assert rules(text, "payment", "/shop.payment.v1.PaymentService/GetWallet").timeout == 2.0


WRONG = [
    ("services: {paymnt: {}}", "1:12: there is no service 'paymnt'; the nearest is 'payment'"),
    ("service: {}", "1:1: a policy file has no field 'service'; did you mean 'services'?"),
    ("services: {payment: {trys: none}}", "has no field 'trys'; did you mean 'tries'?"),
    ("services: {payment: {methods: {Chrage: {}}}}", "payment has no method 'Chrage'; the nearest is 'Charge'"),
    ("defaults: {timeout: 5}", "timeout must be a duration such as 10s, 500ms or 1m30s, not '5'"),
    ("defaults: {timeout: 0s}", "timeout must be above 0s"),
    ("services: {payment: {methods: {Charge: {timeout: 6s}}}}", "the contract of Charge gives it 5s: a longer timeout"),
    ("defaults: {timeout: 1s, try_timeout: 2s}", "try_timeout, the limit of one try, must not be above timeout"),
    ("defaults: {tries: {attempts: 11}}", "attempts must be a whole number from 1 to 10, not '11'"),
    ("defaults: {tries: {on: [unavailabel]}}", "did you mean 'unavailable'?"),
    ("defaults: {tries: {on: []}}", "on needs at least one end of a try"),
    ("defaults: {tries: {budget: {share: 20}}}", "share must be a share above 0% up to 100%, such as 20% or 0.5%"),
    ("defaults: {tries: {backoff: {initial: 2s, longest: 1s}}}", "must not be below initial"),
    (
        "services: {product: {methods: {CreateProduct: {tries: {attempts: 2}}}}}",
        "CreateProduct must not be tried again: it is not idempotent by its contract, and has no key",
    ),
    (
        "services: {product: {methods: {UpdateProduct: {mirror: {version: v2}}}}}",
        "UpdateProduct must not be copied: its contract does not say NO_SIDE_EFFECTS",
    ),
    ("services: {product: {split: {weights: {v1: 90, v2: 20}}}}", "weights must add up to 100; these add up to 110"),
    ("services: {product: {split: {}}}", "split needs weights, headers, or both"),
    ("services: {product: {split: {weights: {V1: 100}}}}", "the name of a version has small letters"),
    ("services: {product: {split: {headers: [{name: a, value: b}]}}}", "a header needs a name, a value and a version"),
    ("defaults: {split: {weights: {v1: 100}}}", "defaults has no field 'split'"),
    ("services: {product: {mirror: {share: 5%}}}", "mirror needs the version that gets the copies"),
    ("services: {product: {methods: {GetProduct: {ejection: none}}}}", "ejection concerns instances"),
    (
        "services: {product: {methods: {GetProduct: {limits: {requests: 1}}}}}",
        "GetProduct shares the limits of product: give them there, or set `isolated` in its contract",
    ),
    (
        "services: {product: {methods: {GetProduct: {tries: {budget: none}}}}}",
        "all methods of product share one budget: give it there",
    ),
    ("defaults: {ejection: {for: 10s, longest: 5s}}", "must not be below for, the first"),
    ("defaults: {locality: {enough: 50%}}", "locality needs `prefer: zone`"),
    ("defaults: {faults: {}}", "faults needs a delay, an abort, or both"),
    ("defaults: {faults: {delay: {share: 5%}}}", "delay needs share and for"),
    ("defaults: {faults: {abort: {share: 5%, code: OK}}}", "code must be one of"),
    ("- 1", "a policy file must be a mapping"),
    ("a: [", "is not YAML"),
]


@pytest.mark.parametrize(("text", "what"), WRONG)
def test_what_is_wrong_is_named_with_its_line(text: str, what: str) -> None:
    found = findings(text)
    assert any(what in line for line in found), found
    assert all(line.startswith("mesh.yaml:") for line in found)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    found = findings("defaults:\n  timeout: soon\nservices:\n  order:\n    limits: {requests: 0}\n  nobody: {}\n")
    assert [line.split(":")[1] for line in found] == ["2", "5", "6"]


@pytest.mark.parametrize(
    "file",
    ["contracts/mesh.yaml", "deploy/mesh/istio.yaml", "deploy/mesh/linkerd.yaml", "deploy/mesh/gateway-api.yaml"],
)
async def test_files_of_the_repository_are_right(file: str) -> None:
    ended = await run("mesh", "check", file)
    assert ended.out.startswith(f"{file} is right: ")


async def test_the_command_names_all_that_is_wrong(tmp_path: object) -> None:
    file = f"{tmp_path}/mesh.yaml"
    with open(file, "w") as written:
        written.write("defaults: {timeout: 1, tries: 2}\n")
    ended = await run("mesh", "check", settings={"SOUK_MESH_POLICY": file})
    assert ended.status == 1
    assert [line.partition(file)[2].split(" ")[1] for line in ended.err.splitlines()] == ["timeout", "tries"]
