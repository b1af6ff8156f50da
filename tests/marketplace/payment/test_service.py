import asyncio
from contextlib import suppress

import pytest
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.adapters.sandbox.bank import FILE
from marketplace.payment.service import service
from marketplace.payment.settings import PaymentSettings, ProviderSettings, ReconcileSettings, read_settings
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import ConfigurationError
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, service_host


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _built(host):
    parts = await service.build(host)
    tasks = [asyncio.ensure_future(task()) for task in parts.tasks.values()]
    await asyncio.sleep(0)
    return parts, tasks


async def test_it_starts_loads_demo_data_and_stops(tmp_path) -> None:
    for _ in range(2):
        async with service_host(service, tmp_path) as host:
            parts, tasks = await _built(host)
            await parts.demo()
            with use(CallContext(caller=Caller(subject="U-demo"))):
                wallet = await parts.servicer.GetWallet(pb.GetWalletRequest(), CallRecord())
            assert (wallet.balance, wallet.currency) == (500_000, "EUR")
            assert set(parts.consumers) == {subscription.consumer for subscription in service.subscriptions}
            await _end(tasks)


async def test_its_task_recovers_what_a_crash_left(tmp_path) -> None:
    clock = FakeClock()
    source = pb.ChargeSource(card=pb.CardSource(payment_method_id="PM-demo"))
    request = pb.ChargeRequest(key="k", order_id="O", user_id="U-demo", amount=1, currency="EUR", source=source)
    async with service_host(service, tmp_path, clock=clock) as host:
        parts, tasks = await _built(host)
        await parts.demo()
        await parts.servicer.Charge(request, CallRecord())
        reset = "UPDATE payments SET status = 'PENDING', next_try_at = $1 WHERE key = 'k'"
        await host.database.run(lambda tx: tx.execute("DELETE FROM postings WHERE transaction_id LIKE 'charge/PAY%'"))
        await host.database.run(lambda tx: tx.execute(reset, clock.now()))
        await _end(tasks)
    async with service_host(service, tmp_path, clock=clock) as host:
        _, tasks = await _built(host)
        status = "SELECT status FROM payments WHERE key = 'k'"
        while (await host.database.read(lambda tx: tx.fetch_one(status)))["status"] != "CAPTURED":
            await asyncio.sleep(0)
        await _end(tasks)


async def test_it_refuses_to_start_on_the_book_of_another_bank(tmp_path) -> None:
    async with service_host(service, tmp_path) as host:
        _, tasks = await _built(host)
        await _end(tasks)
    for file in tmp_path.glob(f"{FILE}*"):
        file.unlink()
    async with service_host(service, tmp_path) as host:
        with pytest.raises(ConfigurationError, match="provider_url"):
            await service.build(host)


def test_settings_have_defaults_and_refuse_nonsense() -> None:
    assert read_settings({}) == PaymentSettings(ProviderSettings("", 4.0), ReconcileSettings())
    values = {"provider_url": "http://bank", "provider_timeout": "0.5", "reconcile": "report"}
    provider = ProviderSettings("http://bank", 0.5)
    assert read_settings(values) == PaymentSettings(provider, ReconcileSettings(report_only=True))
    for wrong in ("soon", "0", "-1", "61", "nan"):
        with pytest.raises(ConfigurationError):
            read_settings({"provider_timeout": wrong})
    for name, wrong in (("reconcile", "never"), ("reconcile_interval", "0")):
        with pytest.raises(ConfigurationError, match=name):
            read_settings({name: wrong})
