"""The adapter of the broker port for Amazon SQS with SNS, and for servers of the same API; `open.py` opens it.

Each group of a topic has a FIFO queue. At AWS a topic is a FIFO topic of SNS, to which these queues are subscribed. A
server that has no SNS, such as ElasticMQ, gets each event once for every queue whose name begins with the topic's.

    publish -> publisher.py   one request at a time for each key, to the topic or to every queue
    consume -> consumer.py    receives, deletes, prolongs, and gives back
               claims.py      what a consumer has in hand, and until when it is sure of it
    declare -> topology.py    topics, queues and subscriptions; `names.py` is what they are called
               link.py        how anything is asked, and what an error means

- An event's key is its message group: the queue hands out no more of a group while some of it are in a consumer's hand.
- A message that is in hand becomes visible to others after a time. A consumer prolongs that while it handles the
  message and those before it, and begins no handler that it may have lost.
- Two messages of a key are never in one request to store or to delete: the broker may do one part of a request and
  not another, and an event would be behind a later one of its key.
- A message is sent with a deduplication id of that one publishing, and again with the same one when its outcome is not
  known. An event that is published again on purpose is a new message: SQS would take and drop it for five minutes.
"""
