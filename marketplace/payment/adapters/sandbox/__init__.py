"""A bank to try things out with. It is outside the system: it keeps its own books, in its own file."""
