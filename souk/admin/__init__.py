"""How operators look at and control a running system, over private unix sockets."""
