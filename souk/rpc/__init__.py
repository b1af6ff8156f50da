"""Calls between services. A call looks the same whether it stays in the process or crosses the network.

    caller                                                    callee
    stub -> Channel -> layers -> Transport  ==messages==>  server -> Dispatcher -> servicer
            deadline   retry      in_process/                        admission
            caller     bulkhead   connect/                           request check
            trace      breaker    grpc/
            key        balancer

Parts:

- `client/` is the caller's side. A `Channel` stands behind each generated stub. It gives every call a deadline, the
  caller's signed token, the trace and the idempotency key, and sends it through the layers of `client/layer_stack.py`.
- A `Transport` (`transport.py`) carries encoded messages. There is one folder for each: `in_process/` hands them to a
  dispatcher of the same process, `connect/` sends unary calls over HTTP/1.1, `grpc/` sends everything else.
  `discovered.py` asks the directory for the instances of a service and chooses the transport that reaches them.
- `server/` is the callee's side, the same for every transport. The `Dispatcher` checks who calls and what is asked,
  runs the servicer's method in a task of its own, and turns what it raises into a status.
- `call.py` holds what travels between the two: `Call`, `Reply`, `Status` and the error `CallFailed`.

How one call goes: Order's stub for Payment calls `Channel`, which refuses a call inside a database transaction and one
without a deadline. The retry layer tries again only what the contract allows, and only while the retry budget lasts.
The bulkhead admits it or queues it, the breaker lets it through or refuses it, the balancer picks an instance. The
transport writes it. Payment's dispatcher verifies the token, decodes and checks the request, and calls the servicer.
The answer, or the status of the refusal, goes the same way back.

How a call ended is one of four outcomes, and only a transport may claim the first: NOT_SENT (no octet left this
process), REFUSED (the callee said no, with a reason that its contract lists), DONE, and UNKNOWN for everything else.
"""
