"""The pages of sagas, over a real database: what they list, how little they read, and what operators do there."""

from pathlib import Path

import pytest

from souk.console.page import PageRefused
from souk.kernel.errors import ConfigurationError
from souk.store.database import Transaction
from souk.testing.saga_suite import Shop
from tests.console.conftest import Pages

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>'
_RUN = """INSERT INTO souk_saga_run (subject, saga, attempt, phase, active, parked, ended, input, on_behalf_of,
    traceparent, owner, epoch, lease_until, deadline_at, started_at, changed_at, reason, detail)
    VALUES ($1, 'place', 1, $2, FALSE, $3, FALSE, $4, $5, '', '', 1, 0, 9000000000000000, $6, $6, $5, $5)"""
_STEP = """INSERT INTO souk_saga_step (subject, saga, attempt, step, state, tries, result, note, changed_at)
    VALUES ($1, 'place', 1, $2, $3, 3, $4, $5, 1)"""


async def begin(shop: Shop, *subjects: str, parked: bool = False, text: str = "") -> None:
    async def work(tx: Transaction) -> None:
        for at, subject in enumerate(subjects, 1):
            await tx.execute(_RUN, subject, "running", parked, b"", text, at)
            await tx.execute(_STEP, subject, "charge", "parked" if parked else "trying", b"", text)

    await shop.database.run(work)


async def test_ten_thousand_open_runs_are_limited_in_sql(pages: Pages, shop: Shop) -> None:
    await begin(shop, *(f"O-{number}" for number in range(10_000)))
    shown = await pages.ask("sagas")
    assert len(shown.document["runs"]) == 100
    assert shown.document["more"]
    assert "There are more. The oldest 100 are shown" in pages.text(shown)
    assert len(pages.html(shown)) < 300_000


async def test_what_users_wrote_is_text_on_every_page(pages: Pages, shop: Shop) -> None:
    await begin(shop, f"O-{EVIL}", parked=True, text=EVIL)
    listed = pages.html(await pages.ask("sagas", text=EVIL, step=EVIL, reason=EVIL)) + pages.html(
        await pages.ask("sagas", text="script")
    )
    run = f"place:O-{EVIL}:1"
    shown = pages.html(await pages.ask(f"sagas/{run.replace('/', '%2F')}"))
    preview = pages.html(await pages.ask("sagas", {"id": [run], "action": ["retry"], "why": [EVIL]}))
    for page in (listed, shown, preview):
        assert "&lt;script&gt;" in page
        assert "<script>" not in page
        assert "<img" not in page


async def test_in_bulk_with_a_preview(pages: Pages, shop: Shop) -> None:
    await begin(shop, "O-1", "O-2", parked=True)
    await begin(shop, "O-3")
    form = {"id": ["place:O-1:1", "place:O-2:1", "place:O-9:1"], "action": ["pause"], "why": ["ticket 1"]}
    preview = await pages.ask("sagas", form)
    assert "2 of 3 would change. Nothing is done yet." in pages.text(preview)
    assert [run["state"] for run in (await pages.ask("sagas", state="all")).document["runs"]].count("paused") == 0
    done = await pages.ask("sagas", {**form, "sure": ["yes"]})
    assert (done.failed, done.notice.partition(";")[0]) == (True, "2 of 3 changed")
    stuck = (await pages.ask("sagas", state="stuck")).document["runs"]
    assert {run["subject"]: run["state"] for run in stuck} == {"O-1": "paused", "O-2": "paused"}
    shown = await pages.ask("sagas/place:O-1:1")
    assert [(one["operator"], one["action"], one["why"]) for one in shown.document["actions"]] == [
        ("U-admin", "pause", "ticket 1")
    ]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"action": ["burn"], "id": ["place:O-1:1"], "why": ["x"]}, "choose what is to be done"),
        ({"action": ["retry"], "why": ["x"]}, "choose at least one run"),
        ({"action": ["retry"], "id": ["place:O-1:1"], "why": ["  "]}, "say why"),
    ],
)
async def test_a_form_that_lacks_something_is_refused(pages: Pages, form: dict[str, list[str]], why: str) -> None:
    with pytest.raises(PageRefused, match=why):
        await pages.ask("sagas", form)


async def test_filters_that_mean_nothing_are_refused(pages: Pages) -> None:
    for query in ({"state": "lost"}, {"older": "soon"}):
        with pytest.raises(PageRefused):
            await pages.ask("sagas", **query)
    for run in ("place:O-1:1", "place", "place:O-1:x"):
        with pytest.raises(PageRefused) as refused:
            await pages.ask(f"sagas/{run}")
        assert refused.value.status == 404


async def test_a_read_that_fails_says_so(pages: Pages, shop: Shop, tmp_path: Path) -> None:
    await shop.database.run(lambda tx: tx.execute("ALTER TABLE souk_saga_run RENAME TO gone"))
    with pytest.raises(ConfigurationError):
        await pages.ask("sagas")


async def test_nothing_stuck_is_not_nothing_found(pages: Pages, shop: Shop) -> None:
    await begin(shop, "O-1")
    assert "Nothing is stuck" in pages.text(await pages.ask("sagas", state="stuck"))
    assert "No run fits the filter" in pages.text(await pages.ask("sagas", saga="other"))
