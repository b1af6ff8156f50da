"""What the filters of a rule do to a request and to its answer."""
