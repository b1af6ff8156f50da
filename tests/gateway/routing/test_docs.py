"""Every example of docs/routes.md is a routes file that loads, and the explanation that it shows is the one given."""

import re
from pathlib import Path

import pytest

from souk.gateway.http.routes import Router
from souk.gateway.routing.explain import explain
from souk.gateway.routing.matching.asked import Asked
from souk.gateway.routing.reading.document import parse
from souk.gateway.routing.reading.filters import FIELDS
from souk.gateway.routing.reading.rules import FIELDS as RULE_FIELDS
from souk.gateway.routing.reading.upstream_limits import TIMEOUTS
from souk.gateway.routing.reading.upstreams import FIELDS as UPSTREAM_FIELDS
from souk.gateway.routing.table import ContractRoute, RoutingTable

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "routes.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_loads(text: str) -> None:
    file = parse(text)
    RoutingTable(file, (), (), lambda route, rule: None)
    assert file.routes


def test_the_page_has_every_field_and_filter() -> None:
    assert len(EXAMPLES) >= 3
    assert [name for name in RULE_FIELDS if f"| `{name}` |" not in PAGE] == []
    assert [name for name in (*UPSTREAM_FIELDS, *TIMEOUTS) if f"`{name}`" not in PAGE] == []
    assert [name for name in FIELDS if f"type: {name}" not in PAGE] == []


def test_the_explanation_is_the_one_that_is_given() -> None:
    def target(rule: object) -> str:
        backends = rule.backends  # type: ignore[attr-defined]
        return ", ".join(f"{one.upstream}{f' x{one.weight}' if len(backends) > 1 else ''}" for one in backends)

    table = RoutingTable(parse(EXAMPLES[1]), (), (), lambda route, rule: target(rule))
    router: Router[ContractRoute] = Router()
    found = explain(Asked("GET", "/orders/7", b"", [(b"host", b"shop.example.com")]), table, router)
    lines = [found.winner, *found.better[-1:]]
    assert [line for line in lines if line not in PAGE] == []
