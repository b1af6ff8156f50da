"""Where the instances of a service are."""
