"""Certificates of a mesh are renewed, and its root is rotated, while orders come in; `rotation.py` does it longer."""

from pathlib import Path

import pytest

from tests.fleet.conftest import opened_bazaar
from tests.fleet.rotation import LIFE, SETTINGS, rotated

SECONDS = 30.0


@pytest.mark.full
@pytest.mark.xdist_group("rotation of a mesh's certificates")
def test_no_request_fails_while_certificates_and_the_root_are_rotated(tmp_path: Path) -> None:
    with opened_bazaar(tmp_path, "--mesh", settings=SETTINGS) as bazaar:
        bazaar.prepare()
        found = rotated(bazaar, SECONDS)
        bazaar.audit()
        assert found.failures == [], bazaar.system.output()
    assert found.renewals >= SECONDS // LIFE, "each sidecar got new certificates"
    assert len(found.answers) > 10
    assert found.handshakes > 10
