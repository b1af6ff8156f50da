"""Whatever way a call of a service can fail, the answer at the gateway is in the OpenAPI document."""

import json
import re

import grpc
import grpc.aio
import pytest

from marketplace.app.app import app
from souk.descriptors.contract import Method, contract_of
from souk.descriptors.protojson.names import lower_camel
from souk.gateway.http.problem import problem_of
from souk.kernel.errors import Outcome
from souk.rpc.call import CallFailed
from tests.market.documented import document

ROUTED = [
    method for service in app.services for method in contract_of(service.contract).methods.values() if method.http
]


def failures(method: Method) -> list[CallFailed]:
    """Gives a failure for each gRPC status, sent or not, and for each reason of the contract."""
    plain = [
        CallFailed(code, details="no text of its own leaves", outcome=outcome)
        for code in grpc.StatusCode
        if code is not grpc.StatusCode.OK
        for outcome in (Outcome.UNKNOWN, Outcome.NOT_SENT)
    ]
    reasons = method.reasons.values()
    return plain + [CallFailed(one.code, details="no", outcome=Outcome.REFUSED, refusal=one) for one in reasons]


@pytest.mark.parametrize("method", ROUTED, ids=lambda method: method.name)
def test_every_answer_to_a_failed_call_is_documented(method: Method) -> None:
    described = document()
    access = method.policy.access.name
    for rule in method.http:
        path = re.sub(r"\{(\w+)\}", lambda found: f"{{{lower_camel(found[1])}}}", rule.path)
        responses = described["paths"][path][rule.verb.lower()]["responses"]
        for failed in failures(method):
            problem = problem_of(failed, method)
            if access == "ANYONE" and problem.code in {"UNAUTHENTICATED", "FORBIDDEN"}:
                continue  # nobody is asked who he is
            found = responses.get(str(problem.status))
            assert found is not None, f"{rule.verb} {rule.path}: {problem.status} {problem.code}"
            if "$ref" in found:
                found = described["components"]["responses"][found["$ref"].rpartition("/")[2]]
            assert f'"{problem.code}"' in json.dumps(found), f"{rule.verb} {rule.path}: {problem.status} {problem.code}"


def test_every_operation_may_answer_too_late() -> None:
    described = document()
    for path, operations in described["paths"].items():
        for verb, operation in operations.items():
            if verb in {"get", "post", "patch", "put", "delete"}:
                assert "504" in operation["responses"], f"{verb} {path}"
