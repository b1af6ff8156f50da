"""What an operator does with runs: finds them, shows one, and acts on it. No definition of a saga is needed.

- `run_filter.py`: which runs are wanted.
- `run_records.py`: runs as an operator sees them, with their steps and what operators did with them.
- `parked.py`: which steps wait for an operator, and the retry that an operator asks for.
- `actions.py`: retry, compensate, resolve, pause, resume. Each takes the run from its owner by the lease's epoch.
"""
