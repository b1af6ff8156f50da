"""Souk's transcoder beside Envoy's, with the same contract, in front of the same service.

Each case of the corpus is sent to both. They must agree, or differ for the reason that the case names. Run as a
program, this writes docs/transcoding.md.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from souk.gateway.http.routes import Router
from tests.engines.transcoding.cases import TranslationCase, corpus
from tests.engines.transcoding.comparison import TranslationOutcome, as_protobuf_writes, outcome
from tests.engines.transcoding.gateways import envoy_before, souk_before
from tests.engines.transcoding.page import page_of
from tests.engines.transcoding.upstream import CONTRACT, upstream

pytestmark = pytest.mark.engines
REASONS, CASES = corpus()
PAGE = Path(__file__).resolve().parents[3] / "docs" / "transcoding.md"


@dataclass(frozen=True)
class Compared:
    """A case, and what each side made of it."""

    case: TranslationCase
    souk: TranslationOutcome
    envoy: TranslationOutcome

    @property
    def differences(self) -> list[str]:
        """In what the sides differ."""
        found = []
        if self.souk.status != self.envoy.status:
            found.append("status")
        if self.souk.received != self.envoy.received:
            found.append("message")
        if self.souk.status == self.envoy.status and _written(self.case, self.souk.body) != self.envoy.body:
            found.append("body")
        return found


def _routes() -> Router[Any]:
    router: Router[Any] = Router()
    for method in CONTRACT.methods.values():
        for rule in method.http:
            router.add(rule.verb, rule.path, (method, rule))
    return router


ROUTES = _routes()


def _written(case: TranslationCase, body: Any) -> Any:
    found = ROUTES.find(case.target.partition("?")[0])
    endpoint = found[0].endpoint(case.verb) if found else None
    if endpoint is None or endpoint[1].response_body:
        return body
    message = endpoint[0].output.DESCRIPTOR
    return (
        [as_protobuf_writes(one, message) for one in body]
        if isinstance(body, list)
        else as_protobuf_writes(body, message)
    )


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[Any]:
    """Gives a function that sends a case to both gateways."""
    async with (
        upstream() as service,
        souk_before(service.port) as souk,
        envoy_before(service.port, folder) as envoy,
    ):

        async def compare(case: TranslationCase) -> Compared:
            return Compared(case, await outcome(case, souk, service), await outcome(case, envoy, service))

        yield compare


async def test_both_agree_or_differ_for_the_reason_that_is_given(tmp_path: Path) -> None:
    wrong = []
    async with both(tmp_path) as compare:
        for case in CASES:
            compared = await compare(case)
            if bool(compared.differences) != bool(case.differs):
                wrong.append(
                    f"{case.verb} {case.target} {case.shown[:80]}: {compared.differences} {case.differs}\n"
                    f"    Souk  {compared.souk.shown[:200]} {compared.souk.body}\n"
                    f"    Envoy {compared.envoy.shown[:200]} {compared.envoy.body}"
                )
    assert wrong == []


def test_the_corpus_is_large_and_each_difference_has_a_reason() -> None:
    assert len(CASES) >= 300
    assert {case.differs for case in CASES if case.differs} == set(REASONS)
    requests = [case.request for case in CASES]
    assert len(requests) == len(set(requests))


async def _compare_all() -> list[Compared]:
    with tempfile.TemporaryDirectory() as folder:
        async with both(Path(folder)) as compare:
            return [await compare(case) for case in CASES]


if __name__ == "__main__":
    PAGE.write_text(page_of(REASONS, asyncio.run(_compare_all())), encoding="utf-8")
