"""The pages of parked work: what waits for an operator, and one event with what can be decided about it."""
