"""A backup has the authority of the mesh, also when it was written after the instant: refusals must not be lost."""

import os
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

from souk.backup.making import make_backup
from souk.mesh.identity.store import FILE, FOLDER, AuthorityStore
from souk.runtime.config.environment import from_environment
from souk.runtime.data import manifest
from souk.runtime.data.manifest import FILES, MONOLITH, Manifest
from tests.mesh.identity.fleet import PAYMENT, SetClock, authority


async def test_the_authority_is_copied_whenever_it_was_written(tmp_path: Path) -> None:
    data, made = tmp_path / "data", tmp_path / "made"
    data.mkdir(mode=0o700)
    with closing(connect(data / "order.db")) as database:
        database.execute("CREATE TABLE orders (id TEXT)")
    manifest.write(data, Manifest(MONOLITH, FILES, {"order": 1}, installation="a"))
    fleet = authority(data, SetClock())
    fleet.refuse("service", "payment", "its machine was broken into")
    for name in (".authority.json.new", "letter.eml"):
        (data / FOLDER / name).touch()
    later = time.time() + 3_600
    for file in (FILE, "letter.eml"):
        os.utime(data / FOLDER / file, (later, later))
    files = (await make_backup(from_environment({"data": data}), (), made, lambda line: None)).files
    assert files.keys() == {"data/order.db", f"data/{FOLDER / FILE}"}
    copy = AuthorityStore(made / "data").read()
    assert copy is not None
    assert copy.bundle == fleet.bundle
    again = authority(made / "data", SetClock())
    assert again.refusal_of(PAYMENT) is not None
