"""The adapter of the broker port for RabbitMQ 3.10 and later, over aiormq; `open.py` opens it.

A topic is a durable direct exchange. Each group has a queue for each of eight partitions, and an event's key decides
its partition, by which the exchange puts it into that queue of every group.

    publish -> publisher.py   a result comes from the broker's confirmation and from nothing else
    consume -> consumer.py    connects, and connects anew
               session.py     one connection: all partitions, the lease, and what goes to other consumers
               partition.py   one queue over a channel of its own
    declare -> topology.py    exchanges and queues, and what they are called

- A queue is a quorum queue: it has an event on disk, of most of its nodes, before the broker confirms it.
- It has a single active consumer, to which events come in order. The others wait at the queue, and the broker makes
  the next one active once it sees that one gone.
- Events go back only when a consumer's channel ends, all at once. The broker then puts them at the head of the queue
  in their order. An event that is given back by itself, or a consumer that is cancelled while it has some in hand,
  would break the order.

aiormq is the floor of aio-pika, with which it is installed. What aio-pika adds are connections that mend themselves
(they may forget a consumer, and hide that an event came again), and objects for queues and exchanges. Tasks of the
client may be cancelled without our asking, and may swallow a cancellation: see `ask` in link.py.
"""
