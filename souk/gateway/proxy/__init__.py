"""Plain HTTP behind the gateway: requests and answers go through as streams.

    Upstream.forward -> one try -> InstancePool -> UpstreamConnection -> AnswerReader

- `upstream.py`: the `Upstream` that a route sends requests to. It chooses the instance, tries again where that does no
  harm, and turns failures into problems.
- `exchange.py`: one try: head and body to an instance, and its answer as it comes.
- `pool.py`, `connection.py`, `answer_reader.py`: kept connections to one instance, and HTTP/1.1 on them.
- `heads.py`: which headers go on, and which the gateway writes itself.
"""
