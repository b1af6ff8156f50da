"""The single entry point: HTTP and JSON outside, calls to services inside.

    HTTP request -> Router -> Pipeline: who calls? -> rate limit -> body -> message -> call -> JSON
                                 |         401, 403      429        413, 415   400      |
                                 '------------------ Problem (RFC 9457) <---------------'

Parts:

- `app.py`: the `Gateway`, a plain ASGI application. It finds the route and answers.
- `http/routes.py` and `endpoint.py`: paths and methods come from the contracts' HTTP rules; a `Pipeline`
  has the stages of one request, in the order in which they are checked.
- `auth/`: who calls: tokens of the app's own issuer and of others, API keys, cookies of browsers; the audit log of
  refusals. Start at `auth/identity.py`.
- `limits/`: how often somebody may call; each method's contract names its class. `overload/`: how many requests run at
  once, and which are refused first.
- `transcoding/`: path, query and body become the request's message, by all the rules of google.api.http; the answer
  becomes JSON, one field of it, or a file.
- `public_reads/`: what everybody may read: entity tags, compression, and a cache.
- `http/problem.py`: every way to fail is a `Problem`. Nothing of a failure's own text goes out, unless the
  contract lists the reason.
- `ops_endpoints.py`, `docs/`: health, metrics, the OpenAPI document and its page.

How one request goes: `POST /api/v1/orders` is found in the router. The pipeline verifies the token, counts the call
against the caller's limit, reads the body as far as it may be long, fills the message and names every field that is
wrong. It calls `OrderService.PlaceOrder` with the contract's time limit. The reply is written as JSON; a refusal is
written as the problem that the contract gives for its reason.
"""
