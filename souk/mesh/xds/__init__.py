"""A server of named resources by Envoy's protocol of discovery: aggregated, and of changes only (delta ADS).

It knows nothing of what the resources say. How an update goes:

1. The control plane makes a `ResourceSnapshot` for each sidecar and publishes it (`server.py`). Groups of resources
   that many sidecars share are serialised and compared once.
2. The `DeltaStream` of a connected sidecar is told what has changed. It is a pure state machine: requests and snapshots
   go in, responses come out. It has a `TypeSubscription` for each type that the sidecar has asked for.
3. `StreamSession` writes a response when the sidecar can take one. What a response holds is decided at that moment, so
   that a slow sidecar is sent the newest state, never a queue of old ones.
4. The sidecar accepts a response or rejects it, with a reason. A rejected response is sent again in halves until the
   resource that is to blame stands alone; that version of it is not sent again, the one before it stays in use,
   and `AdsServer.acknowledgements` shows why.

Types have an order, so that nothing points to what is not there yet: clusters with their endpoints and secrets, then,
when the sidecar has taken all of these, listeners and routes; what was removed goes last, in the opposite order.
"""
