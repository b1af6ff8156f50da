"""START HERE: the marketplace, its six services listed."""
