"""Runs that nobody drives and that have something to do: found in the order of their time, and taken over in batches.

- `due.py`: which runs are due, and when the next one will be.
- `taken.py`: takes runs for an owner, and reads what is recorded of them, in a few statements for all.
"""
