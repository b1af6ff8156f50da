"""A fleet: every service, gateway and engine as a process of its own, kept alive on one machine.

    souk up --topology fleet
      supervisor -> Fleet -> ReplicaSet "order" -> ManagedProcess order-1, order-2 -> souk serve order
                          -> ReplicaSet "postgres" -> ManagedProcess postgres-1
                          -> ReplicaSet "gateway" ...

Parts:

- `supervisor.py`: the order in which a fleet starts and stops.
- `fleet.py`: all `ReplicaSet`s, and what an operator may ask of them: scale, restart, stop.
- `replica_set.py`: the processes of one service. `managed_process.py`: one process, started again with back-off when it
  dies; a `ProcessSpec` (`process_spec.py`) says how it is started, known to be ready and asked to end.
- `app_processes.py` makes the services and gateways, `backing_processes.py` the engines under them.
- `capacity.py` divides the connections to the database among the processes.
- `orphans.py` ends what an earlier supervisor left behind; `process_group.py` lets Ctrl-C reach the supervisor alone.
- `output/`: the log of each process, which of its lines are worth showing, and how a process is known to be ready.

How a start goes: the supervisor takes the data directory and ends what a killed supervisor left running. Engines start
first, then a database for each service, the registry and the control socket, then services, then gateways. The system
is ready when the gateway says so. A stop goes the other way: no new requests, then gateways finish, then services, then
engines. A process is recorded before it runs, so that the next supervisor finds whatever a killed one left.
"""
