"""The servicers of `soukapi.v1.Accounts`: a process reads its services' databases, a supervisor passes calls on."""

from collections.abc import Callable, Mapping, Sequence

from google.protobuf.descriptor import ServiceDescriptor
from soukapi.v1 import accounts_pb2 as pb
from soukapi.v1 import accounts_pb2_grpc

from souk.admin.process_status import View
from souk.admin.servicers.hosts import ask_hosts
from souk.kernel.errors import StoreError
from souk.rpc.server.dispatcher import Context
from souk.runtime.service import Account
from souk.store.database import Database

CONTRACT: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["Accounts"]
LONG = 30.0


class ProcessAccounts(accounts_pb2_grpc.AccountsServicer):
    """Reads the accounts of services by name, each from the service's database."""

    def __init__(self, databases: Mapping[str, Database], accounts: Mapping[str, Mapping[str, Account]]) -> None:
        self._databases, self._accounts = databases, accounts

    async def ReadAccounts(self, request: pb.ReadAccountsRequest, context: Context) -> pb.ReadAccountsResponse:
        """Reads every account. One that cannot be read is named with the reason, and hides no other."""
        response = pb.ReadAccountsResponse()
        for service, accounts in self._accounts.items():
            for name, account in accounts.items():
                shown = response.accounts.add(service=service, account=name)
                try:
                    shown.amounts.update(await self._databases[service].read(account, long=True))
                except StoreError as error:
                    shown.failed = f"the database cannot be read: {error}"
        return response


class FleetAccounts(accounts_pb2_grpc.AccountsServicer):
    """Passes the call on to one process of every service; `processes` gives those of the fleet."""

    def __init__(self, processes: Callable[[], Sequence[View]]) -> None:
        self._processes = processes

    async def ReadAccounts(self, request: pb.ReadAccountsRequest, context: Context) -> pb.ReadAccountsResponse:
        """Reads the accounts of all services."""
        response = pb.ReadAccountsResponse()
        found = await ask_hosts(
            self._processes(),
            accounts_pb2_grpc.AccountsStub,
            lambda stub: stub.ReadAccounts(request, timeout=LONG),
            "",
        )
        for service, answer in found:
            if answer is None:
                response.silent.append(service)
            else:
                response.accounts.extend(answer.accounts)
        return response
