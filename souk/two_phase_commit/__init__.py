"""Two-phase commit: transactions over several services' databases that all commit or all roll back.

    start(tx) --commit--> TwoPhaseCoordinator --prepare--> participant 1, 2, ...   locks are held from here ...
                                |   all have prepared
                          decision, durable, in the transaction that records what it means
                                '--------------commit--> participant 1, 2, ...     ... to here

Parts:

- `machine.py`: what the coordinator does next, as pure functions over its run.
- `definition.py`: an `AtomicAction` is a list of branches, one for each participant: prepare, commit and roll back.
- `coordinator.py` and `drive.py`: make the calls that the machine asks for, record the decision, and take over the
  runs of a coordinator that died.
- `store.py`: the coordinator's record, in the database of its service. Presumed abort: until a commit is recorded the
  outcome is abort, so a run that nobody drives any more is rolled back, and no record of an abort is waited for.
- `parked.py`: branches that their participant refuses to end, for an operator.
- `participant.py`: a participant's branch is a prepared transaction of its own PostgreSQL database. It remembers the
  branches that ended, so that a repeat is harmless and a late prepare is refused.
- `resolver.py`: a participant's branches in doubt: it asks the coordinator's record what became of them.

A prepared transaction holds its locks between two calls. That is the one exception from the rule "No remote call inside
a transaction", and what this package exists to measure: while the coordinator is dead, nobody else gets those rows.
The saga (`souk.saga`) is the default. What is chosen when, and why: docs/decisions/0061.

Source: Gray, "Notes on Data Base Operating Systems" (1978); Mohan, Lindsay, Obermarck, "Transaction Management in the
R* Distributed Database Management System" (1986), for presumed abort; PostgreSQL's manual, PREPARE TRANSACTION.
"""
