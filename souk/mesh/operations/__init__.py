"""What operators do with the control plane of a running fleet: the servicer, its client, and its metrics."""
