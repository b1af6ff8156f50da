"""How a call is made: the channel, and the layers around each attempt."""
