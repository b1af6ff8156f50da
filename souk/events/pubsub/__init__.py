"""Events through a broker: `publisher.py` is the way in, `subscriber.py` the way out to the same handlers as a call."""
