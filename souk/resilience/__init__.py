"""Breaker, retry, bulkhead and balancer as pure decisions: time is an argument, and there is no I/O."""
