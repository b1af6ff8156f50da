"""Redis Streams as a broker: a topic is sixteen streams, and each stream of a group has one consumer at a time.

- `broker.py`: publishing, declaring, and what the server's settings guarantee.
- `consumer.py`: one consumer of a group, with its connections and its loop.
- `position.py`: how far it is in a stream.
- `ownership.py`: which consumer reads which stream, decided by a script in the server.
- `scripts.py`: those scripts.

A write to the server is a write to its disk, for which everybody waits, so reading is none. A consumer takes new
entries by XREAD, and twenty times a second one script moves the group on behind them, and keeps those that are not
handled yet as pending. That script checks who owns the stream and where the group stands, so a consumer that stood
still longer than its lease changes nothing. Every stream of a group is read under one name, so a new owner finds what
its predecessor had in hand among its own pending entries.
"""
