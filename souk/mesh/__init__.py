"""The mesh of a fleet: an Envoy beside each instance, who it is, and what it may call."""
