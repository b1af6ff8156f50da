"""One process drives one run: makes the calls that the machine asks for, and records what came of them.

- `execution.py`: the drive of a run, from its lease to its end, or until it waits.
- `hooks.py`: what goes with the record of a decision: the definition's hooks, and the rest of a run that waits.
- `step_call.py`: one call to a participant, and its answer.
- `spans.py`: what is recorded of all that in a trace.
"""
