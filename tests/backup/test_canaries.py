"""A backup has no canary: a system on the copy begins with the processes of the baseline."""

import os
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

from souk.backup.making import make_backup
from souk.mesh.canary.release import CanaryRelease
from souk.mesh.canary.steering.plan import CanaryPlan
from souk.mesh.canary.steering.record import CanaryRecord
from souk.mesh.canary.steering.states import CanaryState
from souk.mesh.canary.steering.store import CanaryStore
from souk.runtime.config.environment import from_environment
from souk.runtime.data import manifest
from souk.runtime.data.manifest import FILES, MONOLITH, Manifest


async def test_a_canary_under_way_is_not_in_a_backup(tmp_path: Path) -> None:
    data, made = tmp_path / "data", tmp_path / "made"
    data.mkdir(mode=0o700)
    with closing(connect(data / "order.db")) as database:
        database.execute("CREATE TABLE orders (id TEXT)")
    manifest.write(data, Manifest(MONOLITH, FILES, {"order": 1}, installation="a"))
    release = CanaryRelease(service="payment", version="v2", run="./payment-go")
    record = CanaryRecord(CanaryPlan(release=release), began=1, step_began=1, state=CanaryState.STEPPING)
    CanaryStore(data).write([record])
    for path in (data / "mesh").rglob("*"):
        os.utime(path, (0, 0))
    files = (await make_backup(from_environment({"data": data}), (), made, lambda line: None)).files
    assert files.keys() == {"data/order.db"}
    assert CanaryStore(made / "data").read() == {}
