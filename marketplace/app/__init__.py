"""START HERE: the marketplace, its six services and Analytics, listed."""
