"""Events: from the outbox of one service to the consumers of others, at least once and in order.

    service A                                              service B
    transaction -> outbox -> Relay -> Delivery -> EventSender ==> EventSinkServicer -> consumer
                             leases   one for each                                transaction + inbox
                                      consumer

Parts:

- `relay.py`: a `Relay` belongs to a service and takes events out of its outbox. The outbox is split into partitions,
  and `leases.py` gives each partition to one relay at a time.
- `delivery.py`: a `Delivery` serves one consumer. One that is stuck holds up only the partition of the event that it is
  stuck at, and no other consumer.
- `sender.py` is the port that gets events on; `routing.py` says to whom. `direct.py` calls the consumer's service.
- `consumer.py` is the receiving end. How a handler returns says what happens to the event: handled, sent again, or
  parked because it can never be handled.
- `broker.py` is the port of a broker between services: it stores events in topics, and hands them to the groups that
  consume them. `brokers/` has its adapters; `key_lanes.py` runs a group's handlers for them, and `cloud_events.py` is
  the form in which events travel. `pubsub/` is the way from the relay into a broker, and out of it to the handlers.
- `store.py`: all SQL. `envelope.py`: the message that travels.

How one event goes: Order confirms an order and writes `OrderConfirmed` into its outbox, in the same transaction. The
commit wakes the relay. Each delivery whose consumer listens to that type sends it, and records when the consumer has
taken it. Notification's consumer checks its inbox, so that an event that comes twice is handled once, and writes the
mail. While Notification is away the event waits. An event that its handler refuses for good is parked, and
`souk parked` shows it.
"""
