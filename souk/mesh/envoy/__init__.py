"""What Envoy is given: its messages, its bootstrap, and resources as pure functions of policy and identities."""
