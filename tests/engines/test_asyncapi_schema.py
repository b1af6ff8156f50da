"""The AsyncAPI document against the official JSON Schema of AsyncAPI 3.0."""

import json
from pathlib import Path

import jsonschema
import pytest

from marketplace.app.app import app
from souk.descriptors.asyncapi.document import asyncapi_of
from souk.runtime.service import speakers_of
from tests.examples.node import packages_of

pytestmark = [pytest.mark.engines]
TOOLS = Path(__file__).resolve().parents[2] / "engines" / "asyncapi"


def test_the_document_is_valid() -> None:
    schema = json.loads((packages_of(TOOLS) / "@asyncapi/specs/schemas/3.0.0-without-$id.json").read_text())
    document = asyncapi_of(speakers_of(app.services), "Souk")
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(document)] == []
    first = next(iter(document["operations"].values()))
    first["action"] = "shout"
    assert not validator.is_valid(document)
