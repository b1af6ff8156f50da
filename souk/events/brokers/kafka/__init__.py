"""The adapter of the broker port for Kafka 4 and later (KRaft), over confluent-kafka; `open.py` opens it.

A topic has a fixed number of partitions, and an event's key decides its partition, which keeps the order of a key.

    publish -> producer.py   idempotent, acks=all; a result comes from the delivery report and from nothing else
    consume -> consumer.py   one membership in a consumer group, on a thread of its own
               offsets.py    what may be committed: everything before the first event that is not handled
    inspect -> admin.py, guarantees.py

The client's own asyncio layer (`confluent_kafka.aio` 2.16) is not used. Its producer refuses headers, which the
CloudEvents binding needs, and keeps messages back in a buffer of its own. Its consumer waits without a limit in a
thread for a callback on the event loop, and a cancelled poll loses the messages that it returns.
"""
