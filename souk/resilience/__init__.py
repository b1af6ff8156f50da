"""Pure decisions: breaker, retry, bulkhead, balancer. Time is an argument; there is no I/O."""
