"""What an operator asks of a running system, over private unix sockets."""
