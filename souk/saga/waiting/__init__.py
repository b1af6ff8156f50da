"""Runs that wait, and the messages that they wait for, in the service's database. Nobody drives such a run.

- `saga_message.py`: what is delivered, and what became of it.
- `mailbox.py`: which messages runs expect, by name and key, and the delivery of one.
- `rest.py`: puts a run to rest until its message or its time comes, and tells whoever takes it then what came.
"""
