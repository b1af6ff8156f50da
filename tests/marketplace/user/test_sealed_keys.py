"""Signing keys at rest are of no use to whoever reads the database."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from shop.user.v1 import user_pb2 as pb

from marketplace.user.adapters.es256_signer import Es256Signer
from marketplace.user.service import build, service
from marketplace.user.store.sealed_keys import SealedKeys
from souk.kernel.errors import ConfigurationError
from souk.runtime.service import ServiceContext
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, service_host
from souk.testing.system import embedded

CONTEXT: Any = CallRecord()


async def published(host: ServiceContext, passwords: Any) -> list[str]:
    servicer: Any = (await build(host, passwords)).servicer
    return [key.x for key in (await servicer.ListSigningKeys(pb.ListSigningKeysRequest(), CONTEXT)).keys]


async def kept(host: ServiceContext) -> list[str]:
    rows = await host.database.read(lambda tx: tx.fetch("SELECT private_jwk FROM signing_keys"))
    return [row["private_jwk"] for row in rows]


async def test_no_private_key_is_written_down(host: ServiceContext, passwords: Any) -> None:
    assert await published(host, passwords)
    (text,) = await kept(host)
    assert not any(sign in text for sign in ('"d"', "kty", "{"))


async def test_keys_of_an_earlier_version_are_sealed_at_start_and_go_on(
    tmp_path: Path, clock: FakeClock, passwords: Any
) -> None:
    plain = Es256Signer().make_key(clock.now())
    async with service_host(service, tmp_path, clock=clock) as host:
        sql = "INSERT INTO signing_keys (kid, private_jwk, signs_from) VALUES ($1, $2, $3)"
        await host.database.run(lambda tx: tx.execute(sql, plain.kid, plain.private_jwk, plain.signs_from))
        public = str(ECKey.import_key(json.loads(plain.private_jwk)).as_dict(private=False)["x"])
        for _ in range(2):
            assert await published(host, passwords) == [public]
            (text,) = await kept(host)
            assert "kty" not in text


async def test_another_secret_is_one_line(host: ServiceContext, passwords: Any) -> None:
    await published(host, passwords)
    with pytest.raises(ConfigurationError, match="another secret") as caught:
        await build(replace(host, secret=b"x" * 32), passwords)
    assert "\n" not in str(caught.value)


async def test_a_key_under_another_name_is_not_taken_for_it(host: ServiceContext, passwords: Any) -> None:
    await published(host, passwords)
    await host.database.run(lambda tx: tx.execute("UPDATE signing_keys SET kid = 'other'"))
    with pytest.raises(ConfigurationError):
        await build(host, passwords)


def test_what_has_changed_does_not_open() -> None:
    seal = SealedKeys(b"k" * 32)
    sealed = seal.close("kid", "text")
    assert seal.open("kid", sealed) == "text"
    assert seal.close("kid", "text") != sealed
    for wrong in (sealed[:-6] + "AAAA==", sealed[:20], "aes256gcm:", "aes256gcm:!"):
        assert seal.open("kid", wrong) is None


def test_a_system_keeps_no_key_that_can_be_read_and_says_so_under_another_secret(tmp_path: Path) -> None:
    with embedded(tmp_path) as system:
        assert system.stop() == [0]
        with closing(sqlite3.connect(system.data / "user.db")) as connection:
            texts = [row[0] for row in connection.execute("SELECT private_jwk FROM signing_keys")]
        assert texts
        assert not any("kty" in text for text in texts)
        (up,) = system.parts
        up.spawn({"SOUK_SECRET": "another secret, as long as it has to be"})
        assert up.await_end() != 0
        said = [line for line in up.output().splitlines() if "encrypted under another secret" in line]
        assert len(said) == 1
        assert "Traceback" not in up.output()
