"""Sagas: steps over several services that end either all done or all undone.

    start(tx) --commit--> SagaExecution --asks--> machine: what next?  -- pure, no I/O
                              |  ^                    |
                              |  '--- Decision -------'
                              v
                  StepCall to a participant          every result is recorded
                  (do or undo, with its key)         in SagaStore, under a lease

Parts:

- `definition.py`: a `Saga` is a list of `Step`s with `do` and `undo`; one of them is the pivot, after which the saga
  only goes forward.
- `waits.py`: steps that wait for a message from outside, or for a time.
- `machine.py`, `draft.py` and `states.py`: what happens next, as pure functions over the recorded run. Everything that
  must be right under crash and race is decided here, and tested by a model.
- `driving/`: drives one run. It makes the calls that the machine asks for and records what came of them.
- `runner.py`: `SagaRunner` starts runs, waits for them, and takes over those whose owner died.
- `step_rows.py`: how steps are written, each with a line for every change.
- `store.py`: all other SQL. A write is conditional on the lease's epoch, so who lost its lease changes nothing.
- `takeover/`: runs that nobody drives and that are due, taken over in batches, in the order in which they became due.
- `waiting/`: runs that wait, held by nobody, and the messages that wake them.
- `versions.py`: the definitions of this program. A run goes on by the one it began with, or is not touched.
- `compatibility.py`: refuses to start a program whose definition changed under its open runs.
- `operator/`: finds runs for an operator, and acts on them: retry, compensate, resolve, pause, resume.
- `maintenance.py`: counts for metrics, and the clean-up of what old runs carried.

How one order goes: the service writes the order and the saga's first record in one transaction, and waits for the
outcome. An execution asks Inventory to reserve, Payment to charge, then records the pivot together with the order's
confirmation, then asks Inventory to commit. When the process dies in between, the lease ends, another process takes
the run over, and asks the same step again under the same key. A step that is refused before the pivot turns the run
round: every step that may have happened is undone. A step that can go neither way is parked for an operator.

Source: Garcia-Molina and Salem, "Sagas" (1987); Chris Richardson, "Pattern: Saga".
"""
