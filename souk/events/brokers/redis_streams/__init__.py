"""Redis Streams as a broker: a topic is sixteen streams, and each stream of a group has one consumer at a time.

- `broker.py`: publishing, declaring, and what the server's settings guarantee.
- `consumer.py`: one consumer of a group, with its connections and its loop.
- `ownership.py`: which consumer reads which stream, decided by a script in the server.
- `scripts.py`: those scripts.

Every stream of a group is read under one name, so a new owner finds what its predecessor had in hand among its own
pending entries. A read is made by a script that first checks who owns the stream: a consumer that stood still
longer than its lease reads nothing.
"""
