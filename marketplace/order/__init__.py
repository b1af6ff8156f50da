"""The Order service: orders from being placed to being delivered."""
